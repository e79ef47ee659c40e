// Joins the map to the page: a click on a point, and a zoom that outlives the picture.
//
// Gradio's plot tells of no clicks and makes a new node for every picture. So this looks for the node that is there now,
// listens to it, and gives it back the ranges that the one before had. It never handles a text: a click sends two whole
// numbers, and the server takes neither of them on trust. Without Plotly at hand the map is still drawn, only not zoomed.
const FINEST = 0.02; // of the whole: closer than this there is nothing to see
const seen = { plot: null, home: null, view: null, revision: null };

function ranges(plot) {
  const { xaxis, yaxis } = plot.layout;
  return { x: [...xaxis.range], y: [...yaxis.range] };
}

function near(a, b) {
  return a && b && ["x", "y"].every((axis) => a[axis].every((end, i) => Math.abs(end - b[axis][i]) < 1e-6));
}

function show(range) {
  if (!window.Plotly || !seen.plot) return;
  window.Plotly.relayout(seen.plot, {
    "xaxis.range": [...range.x],
    "yaxis.range": [...range.y],
  });
}

function zoom(factor) {
  if (!seen.plot) return;
  const now = ranges(seen.plot);
  const next = {};
  for (const axis of ["x", "y"]) {
    const [low, high] = now[axis];
    const [from, to] = seen.home[axis];
    const half = Math.max(((high - low) / 2) * factor, (to - from) * FINEST);
    if (2 * half >= to - from) return show(seen.home);
    const centre = Math.min(Math.max((low + high) / 2, from + half), to - half);
    next[axis] = [centre - half, centre + half];
  }
  show(next);
}

function listen(plot) {
  seen.plot = plot;
  seen.home = ranges(plot);
  if (seen.revision !== plot.layout.uirevision) seen.view = null; // another picture: its places are other ones
  seen.revision = plot.layout.uirevision;
  plot.on("plotly_relayout", () => {
    if (plot !== seen.plot) return;
    const now = ranges(plot);
    seen.view = near(now, seen.home) ? null : now;
  });
  plot.on("plotly_doubleclick", () => show(seen.home));
  plot.on("plotly_click", (event) => {
    const point = event.points.find((found) => Array.isArray(found.customdata));
    if (point) trigger("select", { kind: point.customdata[0], number: point.customdata[1] });
  });
  if (!window.Plotly) return;
  // a finger that drags over the map scrolls the page; a mouse draws the part to zoom into
  const change = { dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom" };
  if (seen.view) Object.assign(change, { "xaxis.range": seen.view.x, "yaxis.range": seen.view.y });
  window.Plotly.relayout(plot, change);
}

function look() {
  const plot = document.querySelector("#map-chart .js-plotly-plot");
  if (plot && plot !== seen.plot && plot.on && plot._fullLayout && plot.layout.xaxis.range) listen(plot);
}

function marked() {
  const named = document.querySelector("#map-details [data-edit]");
  const control = named && document.getElementById(`switch-${Number(named.dataset.edit)}`);
  return control && control.closest(".sola-row");
}

function reveal(tries = 30) {
  const row = marked();
  if (!row) {
    if (tries > 0) setTimeout(() => reveal(tries - 1), 100);
    return;
  }
  document.querySelectorAll(".sola-marked").forEach((other) => other.classList.remove("sola-marked"));
  row.classList.add("sola-marked");
  row.scrollIntoView({ block: "center", behavior: "smooth" });
}

window.solaMap = { closer: () => zoom(0.6), farther: () => zoom(1 / 0.6), whole: () => seen.home && show(seen.home), reveal };
new MutationObserver(look).observe(document.getElementById("map-card") || document.body, { childList: true, subtree: true });
look();
