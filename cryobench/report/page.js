"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);

// Tables: a column's heading sorts by value, missing cells last.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.querySelectorAll("thead th")];
  heads.forEach((head, column) => {
    let button = head.querySelector("button");
    if (!button) {
      if (!head.textContent.trim()) return;
      button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
    }
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const body of table.tBodies) {
        // a block of rows stays below its heading, and sentences under their row
        const lines = [...body.rows].filter((line) => !line.matches(".more, .group"));
        const groups = lines.map((line) => {
          const below = line.nextElementSibling;
          return [value(line.cells[column]), below && below.classList.contains("more") ? [line, below] : [line]];
        });
        groups.sort(([a], [b]) => order(a, b, down ? -1 : 1));
        body.append(...groups.flatMap(([, group]) => group));
      }
    });
  });
}
function value(cell) {
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const number = parseFloat(text.replace("−", "-"));
  return text === "" || text === "–" ? null : Number.isNaN(number) ? text : number;
}
function order(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b));
}

// Columns of a table that don't fit are set closer. Where they still don't, each row is a card that names its columns on a small
// screen, and the table scrolls in a box of its own on a larger one. A picture is seen whole first. What goes on at the right or below
// within its box says so, and so does a picture that is larger than it is shown.
const SMALL = 1000; // px
const fitted = new WeakMap(); // box: the width that it was last fitted to
function fit(box) {
  const over = () => box.scrollWidth > box.clientWidth + 1;
  const table = box.querySelector(":scope > table");
  if (table && box.offsetWidth && fitted.get(box) !== box.offsetWidth) {
    fitted.set(box, box.offsetWidth);
    box.classList.remove("fits", "boxed");
    table.classList.remove("cards", "dense");
    table.classList.toggle("dense", over());
    if (over() && table.matches(".foldable") && window.innerWidth < SMALL) table.classList.replace("dense", "cards");
    box.classList.add(over() ? "boxed" : "fits"); // without a box of its own its headings stay on the screen
  }
  const more = [];
  if (box.matches(".picture")) {
    const [button, full] = [box.querySelector("button"), box.matches(".full")];
    const image = button.querySelector("img");
    button.disabled = !full && image.naturalWidth <= image.clientWidth + 1;
    if (!button.disabled) more.push(`Click or tap the picture to see it ${full ? "whole" : "larger"}`);
  }
  if (box.clientWidth && over()) more.push("More to the right: scroll sideways →");
  if (box.clientHeight && box.scrollHeight > box.clientHeight + 1) more.push("More rows: scroll within the table ↓");
  const said = box.previousElementSibling?.classList.contains("sideways") ? box.previousElementSibling : null;
  if (said && !more.length) said.remove();
  if (!more.length) return;
  const words = said ?? document.createElement("p");
  words.className = "sideways";
  words.textContent = more.join(" · ");
  if (!said) box.before(words);
}
for (const box of document.querySelectorAll(".picture")) {
  const button = box.querySelector("button");
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(box.classList.toggle("full")));
    fit(box);
  });
  button.querySelector("img").addEventListener("load", () => fit(box));
}
const watcher = new ResizeObserver((seen) => {
  const boxes = new Set(seen.map(({ target }) => target.closest(".wide")));
  requestAnimationFrame(() => boxes.forEach(fit)); // what it changes is seen in the next turn
});
for (const box of document.querySelectorAll(".wide")) for (const one of [box, ...box.children]) watcher.observe(one);

// Contents: the section in view is marked, and a link opens what it leads to. On a small screen they are folded into one line, which
// names that section.
const links = [...document.querySelectorAll("#contents a")];
const sections = links.map((link) => by(link.hash.slice(1)));
const contents = document.querySelector("#contents details");
const beside = window.matchMedia("(min-width: 1100px)");
const settle = () => (contents.open = beside.matches);
beside.addEventListener("change", settle);
settle();
for (const link of links) link.addEventListener("click", settle);
document.addEventListener("click", (event) => contents.contains(event.target) || settle());
contents.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || beside.matches) return;
  settle();
  contents.firstElementChild.focus();
});
contents.addEventListener("toggle", showCurrent);
function showCurrent() {
  const link = links.find((one) => one.hasAttribute("aria-current"));
  const list = link?.parentElement;
  if (list) list.scrollTo({ top: link.offsetTop - list.clientHeight / 2 });
}
function follow() {
  const seen = sections.findLastIndex((section) => section.getBoundingClientRect().top < 96);
  const end = window.scrollY + window.innerHeight >= document.documentElement.scrollHeight - 2;
  const here = links[end && window.scrollY ? links.length - 1 : Math.max(0, seen)];
  if (here.hasAttribute("aria-current")) return;
  for (const link of links) link.removeAttribute("aria-current");
  here.setAttribute("aria-current", "true");
  by("here").textContent = `: ${here.textContent}`;
  showCurrent();
}
window.addEventListener("scroll", follow, { passive: true });
window.addEventListener("resize", follow);
function unfold() {
  const section = by(decodeURIComponent(location.hash.slice(1)));
  const folded = section && section.querySelector("details.whole");
  if (folded && section.id !== "figures") folded.open = true;
}
window.addEventListener("hashchange", unfold);
unfold();
follow();

// Numbers: which runs they came from, in short on hover and focus, whole on click.
const hint = by("hint");
function tell(button) {
  const runs = button.dataset.runs.split(" ").filter((id) => data.runs[id]);
  const lines = runs.map((id) => {
    const run = data.runs[id];
    return `${id}: seed ${run.seed}, commit ${run.commit}, ${run.day}, ${run.machine}`;
  });
  const more = lines.length > 6 ? [`and ${lines.length - 6} more; click for all`] : [];
  hint.textContent = [button.dataset.verdict, ...lines.slice(0, 6), ...more].filter(Boolean).join("\n");
  hint.hidden = false;
  const box = button.getBoundingClientRect();
  const left = Math.min(box.left, document.documentElement.clientWidth - hint.offsetWidth - 8);
  hint.style.left = `${Math.max(8, left) + window.scrollX}px`;
  hint.style.top = `${box.bottom + 4 + window.scrollY}px`;
}
for (const button of document.querySelectorAll(".number")) {
  button.addEventListener("mouseenter", () => tell(button));
  button.addEventListener("focus", () => tell(button));
  for (const leave of ["mouseleave", "blur"]) button.addEventListener(leave, () => (hint.hidden = true));
  button.addEventListener("click", () => show(button.dataset.runs.split(" ")));
}
document.addEventListener("keydown", (event) => event.key === "Escape" && (hint.hidden = true));
function show(ids) {
  const parts = ids.filter((id) => data.runs[id]).map((id) => {
    const run = data.runs[id];
    const whole = document.createElement("details");
    const head = document.createElement("summary");
    head.textContent = `${id}, seed ${run.seed}` + (run.mse === null ? "" : `, MSE ${run.mse.toExponential(3)}`);
    const text = document.createElement("pre");
    text.tabIndex = 0;
    text.textContent = JSON.stringify({ day: run.day, seconds: run.seconds, commit: run.commit, machine: run.machine, config: run.config }, null, 1);
    whole.append(head, text);
    whole.open = ids.length === 1;
    return whole;
  });
  by("origin-text").replaceChildren(...parts);
  by("origin").showModal();
}

// The gallery: two methods on one image.
if (by("gallery")) {
  const methods = () => data.gallery[by("snr").value];
  const fill = (select, names, chosen) => {
    select.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  };
  const refill = () => {
    const names = methods().map((method) => method.name);
    const keep = (id, other) => (names.includes(by(id).value) ? by(id).value : names.includes(other) ? other : names[0]);
    fill(by("left"), names, keep("left", "noisy"));
    fill(by("right"), names, keep("right", names.includes("exemplar") ? "exemplar" : names[names.length - 1]));
    const count = Math.min(...methods().map((method) => method.images.length));
    const image = by("image").value;
    fill(by("image"), [...Array(count).keys()].map(String), image || "0");
    draw();
  };
  const draw = () => {
    const index = Number(by("image").value);
    const named = (name) => methods().find((method) => method.name === name);
    const [left, right] = [named(by("left").value), named(by("right").value)];
    for (const [place, method] of [["over", left], ["under", right]]) {
      by(place).src = method.images[index];
      by(place).alt = `test image ${index}, ${method.name}`;
    }
    const clean = named("clean");
    by("beside").hidden = !clean;
    if (clean) [by("truth").src, by("truth").alt] = [clean.images[index], `test image ${index}, clean`];
    by("bar").hidden = !left.bar;
    if (left.bar) by("compare").style.setProperty("--bar", `${left.bar.percent}%`);
    by("bar").firstElementChild.textContent = left.bar ? left.bar.text : "";
    const mse = (method) => (method.mse[index] === null ? "no MSE" : `MSE of this image ${method.mse[index].toExponential(2)}`);
    by("scores").textContent = `Left: ${left.name}, ${mse(left)}. Right: ${right.name}, ${mse(right)}.`;
  };
  by("snr").addEventListener("change", refill);
  for (const id of ["left", "right", "image"]) by(id).addEventListener("change", draw);
  by("share").addEventListener("input", (event) => by("compare").style.setProperty("--share", `${event.target.value}%`));
  by("compare").addEventListener("pointermove", (event) => {
    if (event.buttons !== 1 && event.pointerType === "mouse") return;
    const box = by("compare").getBoundingClientRect();
    const share = Math.round((100 * (event.clientX - box.left)) / box.width);
    by("share").value = Math.min(100, Math.max(0, share));
    by("share").dispatchEvent(new Event("input"));
  });
  refill();
}
