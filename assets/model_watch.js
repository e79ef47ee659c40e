// Tells a page of a personal library that the model was changed in another window, and turns a page that changed it
// itself to the tab it was on.
//
// Asks the server for the name of the library that is open: a short code, which says nothing of what is in it. A page
// that shows another one is told so; the server refuses what it sends in any case.
const PERIOD = 3000; // milliseconds
const notice = element.querySelector(".sola-moved");
const shown = { place: null };

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch("place", { cache: "no-store" });
      if (answer.ok) {
        const { place } = await answer.json();
        shown.place ??= place;
        notice.hidden = place === shown.place;
      }
    } catch {
      // the server is gone or busy: gradio tells of that
    }
  }
  setTimeout(look, PERIOD);
}

function turn(tab, tries = 50) {
  const button = document.getElementById(`${tab}-tab-button`);
  if (button) button.click();
  else if (tries > 0) setTimeout(() => turn(tab, tries - 1), 100);
}

notice.querySelector("button").addEventListener("click", () => location.reload());
try {
  if (sessionStorage.getItem("sola-tab") === "keep") turn("keep");
  sessionStorage.removeItem("sola-tab");
} catch {
  // no storage in this browser: the page begins where it always does
}
look();
