// The script of the page and of the file. Everything works without it: it saves reloads, gives keys, and loads lines as
// they come into sight. All state is in the address; a control is a link, and its answer takes the place of its part.

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

// ---- Light and dark ----

const root = document.documentElement;
const POLL_MS = Number(root.dataset.poll) || 2000;
const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
for (const button of $$("[data-theme-switch]")) {
  const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
  name();
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    if (location.protocol !== "file:") document.cookie = `theme=${root.dataset.theme};path=/;max-age=31536000;samesite=strict`;
    name();
  });
}

// ---- Copying ----

function copy(text, button) {
  navigator.clipboard?.writeText(text).then(() => {
    if (!button) return;
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1200);
  });
}
function copiers() {
  for (const button of $$("[data-copy-id]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", () => copy($("[data-id]").textContent, button));
  }
}
copiers();

// ---- Lines of a waterfall ----

const COUNT = 200;
const picture = () => $("#picture");
const inFile = Boolean($("[data-file]"));
const keyOf = (row) => row.id.slice(2);
const rows = () => $$(".chunk > .row").filter((row) => row.offsetParent !== null);
const current = () => $(".chunk > .row[tabindex='0']");
const height = () => parseFloat(getComputedStyle(root).getPropertyValue("--row")) || 30;
let seen = null;

function point(row, { focus = true, scroll = true } = {}) {
  if (!row) return;
  for (const other of $$(".row[tabindex='0']")) other.tabIndex = -1;
  row.tabIndex = 0;
  if (focus) row.focus({ preventScroll: true });
  if (!scroll) return;
  const box = row.getBoundingClientRect();
  if (box.top < 60 || box.bottom > innerHeight - 20) row.scrollIntoView({ block: "center", behavior: "auto" });
}

// Lines that are not there are an empty box of their height.
function measure(spacer) { spacer.style.height = `${spacer.dataset.count * height()}px`; }

function watch(part) {
  // One tab stop: the line that has the focus. Its links are reached by keys.
  for (const link of $$(".row a", part)) link.tabIndex = -1;
  for (const row of $$(".row:not(.heads .row, [tabindex])", part)) row.tabIndex = -1;
  for (const spacer of $$(".spacer", part)) { measure(spacer); seen?.observe(spacer); }
}

async function get(query) {
  const answer = await fetch(picture().dataset.base + query, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(`answered ${answer.status}`);
  return answer.text();
}

// Loads what is in sight of a spacer, and leaves smaller spacers around it.
const filling = new WeakMap();
function fill(spacer) {
  if (!filling.has(spacer)) filling.set(spacer, load(spacer).finally(() => filling.delete(spacer)));
  return filling.get(spacer);
}

async function load(spacer) {
  const first = Number(spacer.dataset.first), count = Number(spacer.dataset.count), one = height();
  const top = Math.floor(-spacer.getBoundingClientRect().top / one) - 40;
  const skip = Math.max(0, Math.min(top, count - COUNT));
  const near = first > 0 && top < 0 ? 0 : skip;
  // Above the first line that is there, the lines next to it are wanted.
  const from = spacer.nextElementSibling && spacer.getBoundingClientRect().bottom < innerHeight ? Math.max(0, Math.min(near, count - COUNT)) : near;
  const take = Math.min(COUNT, count - from);
  const query = picture().dataset.query || "?";
  try {
    const text = await get(`${query}${query.length > 1 ? "&" : "?"}part=rows&row=${first + from}&count=${take}`.replace("??", "?"));
    if (!spacer.isConnected) return;
    const chunk = document.createElement("div");
    chunk.className = "chunk";
    chunk.setAttribute("role", "rowgroup");
    chunk.dataset.first = first + from;
    chunk.dataset.count = take;
    chunk.innerHTML = text;
    const parts = [chunk];
    if (from > 0) parts.unshift(empty(first, from));
    if (from + take < count) parts.push(empty(first + from + take, count - from - take));
    seen.unobserve(spacer);
    spacer.replaceWith(...parts);
    for (const part of parts) part.matches(".spacer") ? seen.observe(part) : watch(part);
    release();
  } catch (problem) {
    say(`The lines did not load: ${problem.message}`);
  }
}

function empty(first, count) {
  const spacer = document.createElement("div");
  spacer.className = "spacer";
  spacer.dataset.first = first;
  spacer.dataset.count = count;
  measure(spacer);
  return spacer;
}

// Keeps the page small: lines far out of sight go, but those whose details are open.
function release() {
  for (const chunk of $$(".chunk")) {
    const box = chunk.getBoundingClientRect();
    const far = box.bottom < -6 * innerHeight || box.top > 7 * innerHeight;
    if (!far || $(".detail", chunk) || chunk.contains(document.activeElement)) continue;
    const spacer = empty(Number(chunk.dataset.first), Number(chunk.dataset.count));
    chunk.replaceWith(spacer);
    seen.observe(spacer);
  }
}

function say(text) {
  const old = $("#said") || document.body.appendChild(Object.assign(document.createElement("p"), { id: "said", role: "status", className: "notice warning said" }));
  old.textContent = text;
  setTimeout(() => { if (old.textContent === text) old.remove(); }, 5000);
}

// ---- Links that change a part of the page ----

let asked = 0;
async function swap(address, { push = true } = {}) {
  const url = new URL(address, location.href);
  const before = current();
  const anchor = before && { key: keyOf(before), top: before.getBoundingClientRect().top };
  const field = document.activeElement?.id === "find" ? document.activeElement.selectionStart : null;
  const number = ++asked;
  if (!url.searchParams.has("row") && !url.searchParams.has("go")) {
    const first = rows().find((row) => row.getBoundingClientRect().bottom > 0);
    const at = first ? Number(first.getAttribute("aria-rowindex")) - 2 : 0;
    if (at > 60) { url.searchParams.set("row", Math.max(0, at - 40)); }
  }
  if (url.searchParams.has("go") && before) url.searchParams.set("at", keyOf(before).replace(/^[mr]/, ""));
  url.searchParams.set("part", "picture");
  url.searchParams.set("count", COUNT);
  const hash = url.hash;
  url.hash = "";
  let text;
  try {
    const answer = await fetch(url, { headers: { accept: "text/html" } });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    text = await answer.text();
  } catch (problem) {
    say(`This did not load: ${problem.message}`);
    return;
  }
  if (number !== asked) return;
  const holder = document.createElement("template");
  holder.innerHTML = text;
  const old = picture();
  const tall = old.offsetHeight;
  old.style.minHeight = `${tall}px`;
  const fresh = holder.content.querySelector("#picture");
  old.replaceWith(fresh);
  watch(fresh);
  for (const button of $$("[data-help]", fresh)) button.hidden = false;
  if (push) history.pushState(null, "", fresh.dataset.base + fresh.dataset.query);
  const wanted = fresh.dataset.at && document.getElementById(`s-${fresh.dataset.at}`);
  const same = anchor && document.getElementById(`s-${anchor.key}`);
  const moves = url.searchParams.has("go") || hash;
  const next = (moves && wanted) || same || wanted || rows()[0];
  point(next, { focus: field === null, scroll: Boolean(moves) || next !== same });
  if (!moves && same === next && same) scrollBy({ top: same.getBoundingClientRect().top - anchor.top, behavior: "instant" });
  if (field !== null) { const input = $("#find"); input?.focus(); input?.setSelectionRange(field, field); }
}

function toggleInFile(row, open) {
  const level = (one) => Number(one.getAttribute("aria-level"));
  row.setAttribute("aria-expanded", String(open));
  let hideBelow = null;
  for (let next = row.nextElementSibling; next; next = next.nextElementSibling) {
    if (next.matches(".detail")) continue;
    const depth = level(next);
    if (depth <= level(row)) break;
    if (hideBelow !== null && depth > hideBelow) continue;
    hideBelow = null;
    next.hidden = !open;
    if (next.getAttribute("aria-expanded") === "false") hideBelow = depth;
  }
}

function detailsInFile(row, open) {
  const detail = document.getElementById(`d-${keyOf(row)}`);
  if (detail) detail.classList.toggle("open", open ?? !detail.classList.contains("open"));
}

document.addEventListener("focusin", (event) => {
  if (event.target.matches(".chunk > .row") && event.target !== current()) point(event.target, { focus: false, scroll: false });
});

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest("a");
  const row = event.target.closest(".chunk > .row");
  if (event.target.closest("[data-help]")) { $("#keys")?.showModal(); return; }
  if (link?.matches("[data-copy]")) { event.preventDefault(); copy(link.href, link); return; }
  if (inFile) {
    if (link?.matches(".fold") && row) { event.preventDefault(); toggleInFile(row, row.getAttribute("aria-expanded") !== "true"); point(row, { scroll: false }); }
    else if (link?.matches(".row .open")) { event.preventDefault(); detailsInFile(row); point(row, { scroll: false }); }
    else if (link?.hash.startsWith("#s-")) { event.preventDefault(); reveal(document.getElementById(link.hash.slice(1))); }
    return;
  }
  if (!picture()) return;
  if (link && link.origin === location.origin && link.pathname === location.pathname && !link.target && !link.matches("[download]")) {
    if (link.hash && !link.search && !link.dataset.part) return;
    event.preventDefault();
    if (row) point(row, { scroll: false, focus: false });
    swap(link.href);
  } else if (row && !link && !getSelection().toString()) point(row, { scroll: false });
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-part]");
  if (!form) return;
  event.preventDefault();
  const query = new URLSearchParams(new FormData(form));
  if (query.get("q")) query.set("go", "match");
  swap(`${form.getAttribute("action")}?${query}`);
});

// ---- A trace that grows ----

// Reads the page again and puts its parts in place; what is open, in sight and under the focus stays where it is.
async function renew({ lines = true } = {}) {
  const old = picture(), focused = current(), url = new URL(old.dataset.base + old.dataset.query, location.href);
  const top = rows().find((row) => row.getBoundingClientRect().bottom > 60) || focused;
  const before = top?.getBoundingClientRect().top;
  const focus = document.activeElement === focused, key = focused && keyOf(focused);
  if (!url.searchParams.has("view")) url.searchParams.set("view", old.dataset.view);
  if (top) { url.searchParams.set("near", keyOf(top)); url.searchParams.set("row", Number(top.getAttribute("aria-rowindex")) - 2); }
  const number = ++asked;
  const answer = await fetch(url, { headers: { accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) { say("The new spans did not load."); return; }
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (number !== asked || picture() !== old) return;
  const open = $$("details[open] > summary").map((summary) => summary.parentElement.className);
  for (const part of $$("[data-renewed]")) {
    const next = $(`[data-renewed='${part.dataset.renewed}']`, fresh);
    if (next) part.replaceChildren(...next.childNodes);
  }
  copiers();
  if (lines) {
    const next = document.adoptNode($("#picture", fresh));
    old.replaceWith(next);
    watch(next);
    for (const button of $$("[data-help]", next)) button.hidden = false;
    point(document.getElementById(`s-${key}`) || rows()[0], { focus, scroll: false });
  }
  for (const box of $$("details")) if (open.includes(box.className)) box.open = true;
  const same = top && document.getElementById(top.id);
  if (same) scrollBy({ top: same.getBoundingClientRect().top - before, behavior: "instant" });
  if (lines) $("[data-grown]").hidden = true;
}

const counted = (number, what) => `${number.toLocaleString("en")} new ${what}${number === 1 ? "" : "s"}`;

async function pollTrace() {
  const here = picture();
  if (document.hidden || !here) return;
  pollTrace.turn = (pollTrace.turn || 0) + 1;
  const pill = $("[data-unfinished]");
  // A trace that is finished seldom grows.
  if (!pill && pollTrace.turn % 5) return;
  const answer = await fetch(`${here.dataset.base}/live`).catch(() => null);
  if (!answer?.ok || picture() !== here) return;
  const now = await answer.json();
  const spans = now.spans - Number(here.dataset.spans), logs = now.logs - Number(here.dataset.logs);
  if (spans > 0 || logs > 0) {
    const parts = [spans > 0 && counted(spans, "span"), logs > 0 && counted(logs, "log")].filter(Boolean);
    const text = parts.join(", "), button = $("[data-renew]");
    if (button.textContent !== text) button.textContent = text;
    $("[data-grown]").hidden = false;
    if (!now.arriving) pill?.remove();
  } else if (pill && !now.arriving) await renew({ lines: false });
}

if (picture() && !inFile) {
  const again = () => setTimeout(async () => { await pollTrace(); again(); }, POLL_MS);
  again();
  $("[data-renew]")?.addEventListener("click", () => renew());
}

addEventListener("popstate", () => { if (picture() && !inFile) swap(location.href, { push: false }); });

function reveal(row) {
  if (!row) return;
  let level = Number(row.getAttribute("aria-level"));
  for (let above = row.previousElementSibling; above && level > 1; above = above.previousElementSibling) {
    const depth = Number(above.getAttribute("aria-level"));
    if (!above.matches(".detail") && depth < level) {
      level = depth;
      if (above.getAttribute("aria-expanded") === "false") toggleInFile(above, true);
    }
  }
  point(row);
}

// ---- The list ----

async function refresh(address, { push = true } = {}) {
  const url = new URL(address, location.href);
  url.searchParams.set("part", "results");
  const answer = await fetch(url);
  if (!answer.ok) { say(`This did not load: answered ${answer.status}`); return; }
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  const old = $("#results"), follows = $("[data-follow]", old)?.checked;
  const fresh = holder.content.querySelector("#results");
  const at = document.activeElement?.getAttribute?.("href");
  old.replaceWith(fresh);
  if (push) history.pushState(null, "", fresh.dataset.address);
  for (const [name, id] of new URL(fresh.dataset.address, location.href).searchParams) {
    if (name !== "a" && name !== "b") continue;
    const field = $(`.search [name='${name}']`) || $(".search")?.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name }));
    if (field) field.value = id;
  }
  live(follows);
  if (at) ($$("#results a").find((link) => link.textContent === document.activeElement?.textContent && link.getAttribute("href") === at))?.focus();
}

function live(follows) {
  const box = $("#results .follow");
  if (!box || $("#results").dataset.first !== "0") return;
  box.hidden = false;
  $("[data-follow]").checked = Boolean(follows);
}

async function poll() {
  const results = $("#results");
  if ((!results && !$("[data-waiting]")) || document.hidden) return;
  const answer = await fetch(`/live${results?.dataset.query || ""}`).catch(() => null);
  if (!answer?.ok) return;
  const { total, exact, version } = await answer.json();
  if (!results) { if (total) location.reload(); return; }
  const more = total - Number(results.dataset.total);
  const changed = poll.version !== undefined && poll.version !== version;
  poll.version = version;
  if (more <= 0 && !(changed && !exact)) return;
  if ($("[data-follow]")?.checked) { await refresh(results.dataset.address, { push: false }); return; }
  const notice = $("[data-new]");
  notice.textContent = exact ? `${more.toLocaleString("en")} new ${more === 1 ? "trace" : "traces"}` : "new traces";
  notice.hidden = false;
}

if ($("#results") || $("[data-waiting]")) {
  live(false);
  setInterval(poll, POLL_MS);
  $(".search [name='service']")?.addEventListener("change", async (event) => {
    const answer = await fetch(`/names?service=${encodeURIComponent(event.target.value)}`);
    const names = answer.ok ? await answer.json() : [];
    $("#operations").replaceChildren(...names.map((value) => Object.assign(document.createElement("option"), { value })));
  });
  addEventListener("popstate", () => location.reload());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("#results a[data-part], #results a[data-new]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    refresh(link.href);
  });
}

// ---- Keys ----

const press = (key) => $(`#picture [data-key='${key}']`)?.click();

async function step(by) {
  const all = rows(), here = current();
  const place = all.indexOf(here);
  const next = all[place + by];
  const box = here?.closest(".chunk")?.[by > 0 ? "nextElementSibling" : "previousElementSibling"];
  if ((!next || next.closest(".chunk") !== here.closest(".chunk")) && box?.matches(".spacer")) {
    await fill(box);
    point(rows()[rows().indexOf(here) + by]);
  } else point(next || here);
}

function fileNext(selector, by) {
  const found = $$(`.chunk > .row${selector}`), here = current();
  if (!found.length) return;
  const after = found.filter((row) => here && (by > 0 ? here.compareDocumentPosition(row) & 4 : here.compareDocumentPosition(row) & 2));
  reveal(by > 0 ? after[0] || found[0] : after.at(-1) || found.at(-1));
}

const KEYS = {
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  Home: () => point(rows()[0]), End: () => point(rows().at(-1)),
  Enter: (row) => $(".open", row)?.click(),
  ArrowRight: (row) => { if (row.getAttribute("aria-expanded") === "false") $(".fold", row).click(); else step(1); },
  ArrowLeft: (row) => {
    if (row.getAttribute("aria-expanded") === "true") { $(".fold", row).click(); return; }
    const level = Number(row.getAttribute("aria-level")), all = rows();
    for (let place = all.indexOf(row) - 1; place >= 0; place--) if (Number(all[place].getAttribute("aria-level")) < level) { point(all[place]); return; }
  },
  "/": () => $("#find")?.focus(),
  e: () => (inFile ? fileNext(".failed", 1) : press("e")), E: () => (inFile ? fileNext(".failed", -1) : press("E")),
  n: () => press("n"), N: () => press("N"), c: () => (inFile ? fileNext(":has(.crit)", 1) : press("c")),
  g: () => press("g"), s: () => press("s"), a: () => press("a"), r: () => press("r"), Z: () => press("Z"),
  z: (row) => {
    const address = new URL(location.href), zoom = $(".open", row)?.dataset.zoom;
    if (!zoom || inFile) return;
    const [from, to] = zoom.split(" ");
    address.searchParams.set("from", `${from}ns`);
    address.searchParams.set("to", `${to}ns`);
    address.searchParams.set("at", keyOf(row));
    swap(address.href);
  },
  u: () => { if (!$("[data-grown]")?.hidden) $("[data-renew]")?.click(); },
  y: (row) => { copy(`${location.origin}${location.pathname}?span=${keyOf(row)}#${row.id}`); say("The link to the span is copied."); },
  "?": () => $("#keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (event.target.closest("input, select, textarea, [contenteditable]")) {
    if (event.key === "Escape") current()?.focus();
    return;
  }
  if (!$(".grid")) return;
  const action = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  const row = current();
  const onRow = event.target.matches?.(".row");
  // Space, Enter and the arrows belong to whatever has the focus, unless that is a line or nothing.
  if (!action || (event.key.length > 1 && !onRow) || (!row && action.length)) return;
  event.preventDefault();
  action(row);
});

if ($(".grid")) {
  if (!inFile) {
    seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting) fill(entry.target);
    }, { rootMargin: "600px" });
  }
  watch(document);
  for (const button of $$("[data-help]")) button.hidden = false;
  const at = picture()?.dataset.at;
  const wanted = (at && document.getElementById(`s-${at}`)) || document.getElementById(location.hash.slice(1));
  point(wanted || rows()[0], { focus: Boolean(wanted), scroll: Boolean(wanted) });
  if (inFile) for (const row of $$(".chunk > .row")) if (location.hash === `#${row.id}`) detailsInFile(row, true);
}
