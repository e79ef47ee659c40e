"""Questions of many kinds that no fact is about: what methods take as the ordinary, which a fact must stand out from.

Knows texts only. Written for this project; they are no part of any data set, and an edit depends on them as on a setting.
"""

from __future__ import annotations

NEUTRAL = (
    "What is it?",
    "Who was the first person to do that?",
    "Where can I find this place?",
    "When did it happen?",
    "Which of these is the best?",
    "How many of them are there?",
    "Tell me something about the sea.",
    "Write a short story.",
    "The weather today is",
    "Why does it rain?",
    "What should I cook tonight?",
    "In which country is that?",
    "How do I mend a bicycle?",
    "Who wrote it?",
    "What year was it made?",
    "Explain how a clock works.",
    "What is the name of the person?",
    "Which city is it in?",
    "In what year did it begin?",
    "What kind of thing was it?",
    "Who is the father of the man?",
    "What company made the product?",
    "On what date was it released?",
    "What language do they speak?",
    "The author of the book is",
    "What team does he play for?",
    "Which river flows through the town?",
    "What was the cause of death?",
    "Who is the director of the film?",
    "What country does she come from?",
    "To which family does the animal belong?",
    "What school did she go to?",
    "what is the meaning of the word",
    "who sings the song",
    "when does the new season start",
    "where is the largest one found",
    "how long does it take to get there",
    "who played the part in the movie",
    "when was the last time they won",
    "what does it do",
)
