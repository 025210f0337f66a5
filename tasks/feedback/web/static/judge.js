// The pages work without this script. It adds keys, and dragging answers into order.
// Where nothing waits there is no form, and of the keys only that for undo.
"use strict";

const form = document.getElementById("judge");
const list = document.querySelector(".answers");
const live = document.getElementById("live");
const keysOn = document.getElementById("keys-on");
const help = document.getElementById("keys");
const EDGE = 70; // pixels; a drag this near to the top or bottom of the window scrolls it

const answers = () => [...(list?.children ?? [])];
const nameOf = (answer) => answer.dataset.name;
const radios = (answer) => [...answer.querySelectorAll("input[type=radio]")];
const rankOf = (answer) => radios(answer).find((radio) => radio.checked)?.value;

function setRank(answer, rank) {
  const radio = radios(answer).find((one) => one.value === String(rank));
  if (radio) radio.checked = true;
  return Boolean(radio);
}

function say(message) {
  live.textContent = message;
}

const areKeysOn = () => localStorage.getItem("keys") !== "off";
const spokenRank = (answer) => (rankOf(answer) === "F" ? "fails" : `rank ${rankOf(answer)}`);

// Ranks follow the order, from the top. A tie that still stands together stays one; what failed stays failed.
function rankByOrder(moved) {
  let rank = 0;
  let before = null;
  const old = new Map(answers().map((answer) => [answer, rankOf(answer)]));
  for (const answer of answers()) {
    if (old.get(answer) === "F" && answer !== moved) continue;
    const tied = before && answer !== moved && before !== moved && old.get(answer) && old.get(answer) === old.get(before);
    if (!tied) rank += 1;
    setRank(answer, rank);
    before = answer;
  }
  say(`Answer ${nameOf(moved)} moved. ` + answers().map((answer) => `${nameOf(answer)}: ${spokenRank(answer)}`).join(", "));
}

// The neighbour moves, not the answer itself: so the answer keeps focus and the pointer that drags it.
function shift(answer, by) {
  const neighbour = by < 0 ? answer.previousElementSibling : answer.nextElementSibling;
  if (neighbour && by < 0) answer.after(neighbour);
  if (neighbour && by > 0) answer.before(neighbour);
  return Boolean(neighbour);
}

list?.addEventListener("click", (event) => {
  const button = event.target.closest(".move");
  if (!button) return;
  const answer = button.closest(".answer");
  shift(answer, Number(button.dataset.by));
  rankByOrder(answer);
  answer.scrollIntoView({ block: "nearest" });
});

list?.addEventListener("pointerdown", (event) => {
  const handle = event.target.closest(".handle");
  if (!handle || event.button !== 0) return;
  event.preventDefault();
  const answer = handle.closest(".answer");
  const middle = (other) => other.getBoundingClientRect().top + other.offsetHeight / 2;
  let hasMoved = false;
  const follow = (move) => {
    const before = answer.previousElementSibling;
    const after = answer.nextElementSibling;
    if (before && move.clientY < middle(before)) hasMoved = shift(answer, -1);
    else if (after && move.clientY > middle(after)) hasMoved = shift(answer, 1);
    if (move.clientY < EDGE) scrollBy(0, -12);
    if (move.clientY > innerHeight - EDGE) scrollBy(0, 12);
  };
  const finish = () => {
    answer.classList.remove("dragged");
    handle.removeEventListener("pointermove", follow);
    for (const name of ["pointerup", "pointercancel"]) handle.removeEventListener(name, finish);
    if (hasMoved) rankByOrder(answer);
  };
  handle.setPointerCapture(event.pointerId);
  answer.classList.add("dragged");
  handle.addEventListener("pointermove", follow);
  for (const name of ["pointerup", "pointercancel"]) handle.addEventListener(name, finish);
});

function step(current, by) {
  const all = answers();
  const next = current ? all[all.indexOf(current) + by] : all[0];
  if (!next) return;
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function rank(answer, rank) {
  if (setRank(answer, rank)) say(`Answer ${nameOf(answer)}: ${spokenRank(answer)}`);
}

// What a key does at an answer, or with no answer at hand; nothing if the key is not ours.
function action(key, answer) {
  if (answer && /^[1-6f]$/i.test(key)) return () => rank(answer, key.toUpperCase());
  if (key === "j" || (answer && key === "ArrowDown")) return () => step(answer, 1);
  if (key === "k" || (answer && key === "ArrowUp")) return () => step(answer, -1);
  if (key === "s") return submit;
  if (key === "u") return () => document.getElementById("undo")?.requestSubmit();
  if (key === "?") return toggleHelp;
  return null;
}

function submit() {
  form?.requestSubmit(document.getElementById("submit"));
}

function toggleHelp() {
  if (!help) return;
  help.open = !help.open;
  help.querySelector("summary").focus();
}

document.addEventListener("keydown", (event) => {
  if (event.repeat && !/^(Arrow|[jk]$)/.test(event.key)) return;
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") return submit();
  const isTyping = event.target.matches("textarea, select, input:not([type=radio], [type=checkbox])");
  if (isTyping || event.ctrlKey || event.altKey || event.metaKey || !areKeysOn()) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const run = action(key, document.activeElement.closest(".answer"));
  if (!run) return;
  event.preventDefault();
  run();
});

if (keysOn) {
  keysOn.checked = areKeysOn();
  keysOn.addEventListener("change", () => localStorage.setItem("keys", keysOn.checked ? "on" : "off"));
}
for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
