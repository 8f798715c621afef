/* Keeps an open page as it would be if it were loaded now. The server says that something has changed; the page is
   fetched again, and what differs in a region (data-live) is put in place, row by row. What a person is doing comes
   first: nothing moves under a finger or the focus, and nothing that was typed is touched. No word is written here;
   all of them are in the data of #live. */

(() => {
  "use strict";
  const frame = document.getElementById("live");
  if (!frame || !window.EventSource || !document.querySelector("[data-live][id]")) return;
  const words = frame.dataset;
  const part = (name) => frame.querySelector(`[data-part="${name}"]`);
  const SILENT = 40000, LONGEST = 60000, SOON = 2000, GRACE = 3000, MARKED = 4000, TOUCHED = 1500, MINUTE = 60000;

  let source = null, since = words.since, tries = 0, lost = 0, silent = 0, again = 0;
  let still = false, over = false, typing = 0;

  const count = (number, one, many) => (number === 1 ? one : many).replace("{number}", number);
  const say = (text) => { part("said").textContent = text; };
  const clock = (at) => new Date(at).toLocaleTimeString(frame.lang, { hour: "2-digit", minute: "2-digit" });

  /* --- the connection --- */

  function connect() {
    if (source || still || over || document.hidden) return;
    clearTimeout(again);
    source = new EventSource(`/live?since=${encodeURIComponent(since)}`);
    source.addEventListener("beat", heard);
    source.addEventListener("news", (event) => { heard(event); news(JSON.parse(event.data)); });
    source.addEventListener("gone", () => { close(); ask(); });
    source.onerror = () => { close(); dropped(); };
    listen();
  }

  function close() {
    clearTimeout(silent);
    if (source) source.close();
    source = null;
  }

  function listen() {
    clearTimeout(silent);
    silent = setTimeout(() => { close(); dropped(); }, SILENT);
  }

  function heard(event) {
    if (event.lastEventId) since = event.lastEventId;
    listen();
    tries = 0;
    if (lost) {
      lost = 0;
      if (!part("banner").hidden) say(words.again);
      part("banner").hidden = true;
      fetchSoon();
    }
    state();
  }

  function dropped() {
    if (!lost) {
      lost = Date.now();
      setTimeout(() => { if (lost) tell(words.dropped.replace("{time}", clock(lost))); }, GRACE);
    }
    state();
    const wait = Math.min(LONGEST, 1000 * 2 ** tries) * (0.5 + Math.random());
    tries += 1;
    clearTimeout(again);
    again = setTimeout(ask, wait);
  }

  async function ask() {
    if (document.hidden || still) return;
    try {
      const answer = await fetch("/live", { method: "HEAD", cache: "no-store" });
      if (answer.status === 401 || answer.status === 403) return signedOut();
      if (answer.ok) return connect();
    } catch { /* nobody answers: it is tried again */ }
    dropped();
  }

  function tell(text) {
    if (part("banner").hidden || part("dropped").textContent !== text) {
      part("dropped").textContent = text;
      part("banner").hidden = false;
      say(text);
    }
  }

  function signedOut() {
    over = true;
    close();
    clearTimeout(again);
    lost = 0;
    tell(words.signedOut);
    part("sign-in").href = location.href;
    part("sign-in").hidden = false;
    state();
  }

  function state() {
    part("state").textContent = still ? words.still : lost || over ? "" : words.following;
    frame.dataset.state = still ? "still" : lost || over ? "lost" : "live";
    part("pause").textContent = still ? words.follow : words.pause;
    part("pause").hidden = over;
  }

  /* --- what has changed --- */

  let fetching = false, due = 0, fetched = 0, unseen = false;

  function news(told) {
    const kinds = (region) => region.dataset.live.split(/\s+/).filter(Boolean);
    const meant = (kind) => {
      const [name, id] = kind.split("-");
      return told[name] && (id === undefined || told[name].includes(Number(id)));
    };
    const all = [...document.querySelectorAll("[data-live]")].map(kinds);
    if (told.all || all.some((some) => !some.length || some.some(meant))) fetchSoon();
  }

  function fetchSoon() {
    if (due) return;
    const wait = Math.max(50 + Math.random() * 250, fetched + SOON - Date.now());
    due = setTimeout(renew, wait);
  }

  async function renew() {
    due = 0;
    if (still || over) return;
    if (document.hidden) { unseen = true; return; }
    if (pressed || fetching) { due = setTimeout(renew, 300); return; }
    fetching = true;
    fetched = Date.now();
    try {
      const answer = await fetch(location.href, {
        headers: { "X-Live": "again" }, cache: "no-store", credentials: "same-origin",
      });
      const there = new URL(answer.url).pathname;
      if (answer.status === 401 || answer.status === 403 || there === "/sign-in") return signedOut();
      if (answer.ok && there === location.pathname) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* the stream tells that nobody answers */ } finally { fetching = false; }
  }

  /* --- what a person is doing --- */

  let pressed = false, moved = 0, under = null;
  addEventListener("pointerdown", (event) => { pressed = true; under = event.target; }, true);
  for (const name of ["pointerup", "pointercancel", "blur"])
    addEventListener(name, () => setTimeout(() => { pressed = false; }, 250), true);
  addEventListener("pointermove", (event) => { moved = Date.now(); under = event.target; }, { passive: true });

  const typed = (field) => {
    if (field.type === "hidden") return false;
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.options) {
      const first = [...field.options].some((option) => option.defaultSelected);
      return [...field.options].some((option, place) =>
        option.selected !== (option.defaultSelected || (!first && !field.multiple && place === 0)));
    }
    return field.defaultValue !== undefined && field.value !== field.defaultValue;
  };
  const fields = (at) => [...at.querySelectorAll("input, select, textarea")];
  const filled = (at) => fields(at).some(typed) || (at.matches("input, select, textarea") && typed(at));
  const clicked = (at) => at.matches(".scroll:not(:focus-visible)");  // a click gives a frame the focus, and means nothing
  const focused = (at) => {
    const active = document.activeElement;
    return active !== null && at !== active && at.contains(active) && !clicked(active);
  };
  const held = (at) => filled(at) || focused(at) || at.querySelector("details[open]:has(form)") !== null;

  /* Whether rows must not come, go or move now; what stands above the content pushes all of it. */
  function busy(region) {
    const area = region.closest("main, header") ? region : document.body;
    if (held(area)) return true;
    if (region.getBoundingClientRect().top < 0) return true;
    if ([region, ...region.querySelectorAll(".scroll")].some((at) => at.scrollTop > 0)) return true;
    return under !== null && area.contains(under) && Date.now() - moved < TOUCHED;
  }

  /* --- putting it in place --- */

  const waiting = new Map();  // region id -> the region as it would be
  let changed = new Set();

  function take(page) {
    changed = new Set();
    for (const region of document.querySelectorAll("[data-live][id]")) {
      const wanted = page.getElementById(region.id);
      if (!wanted) continue;
      const calm = !busy(region);
      morph(region, wanted, calm);
      const left = calm ? 0 : missing(region, wanted);
      if (left) waiting.set(region.id, { wanted, left });
      else waiting.delete(region.id);
    }
    const version = page.getElementById("live");
    if (version && version.dataset.since && !source) since = version.dataset.since;
    mark();
    offer();
  }

  function mark() {
    for (const row of changed) {
      row.classList.add("live-changed");
      setTimeout(() => row.classList.remove("live-changed"), MARKED);
    }
    if (changed.size) say(count(changed.size, words.changedOne, words.changedMany));
  }

  function offer() {
    const number = [...waiting.values()].reduce((sum, one) => sum + one.left, 0);
    const button = part("more");
    button.hidden = number === 0;
    const text = count(number, words.waitingOne, words.waitingMany);
    if (number && button.textContent !== text) { button.textContent = text; say(text); }
  }

  part("more").addEventListener("click", () => {
    changed = new Set();
    let first = null;
    for (const [id, { wanted }] of waiting) {
      const region = document.getElementById(id);
      if (region) { morph(region, wanted, true); first = first || region; }
    }
    waiting.clear();
    mark();
    if (first) {
      if (!first.hasAttribute("tabindex")) first.setAttribute("tabindex", "-1");
      first.focus({ preventScroll: true });
      first.scrollIntoView({ block: "nearest" });
    }
    offer();
  });

  const isRow = (at) => at.id && at.matches("[data-live] tr, [data-live] li");
  const rows = (at) => [...at.children].filter((child) => child.id);

  /* How many rows have come, gone or moved. */
  function missing(old, wanted) {
    const ids = (at) => [...at.querySelectorAll("[id]")].filter((one) => one.closest("tbody, ul, ol")).map((one) => one.id);
    const before = ids(old), after = ids(wanted), had = new Set(before), has = new Set(after);
    const differ = after.filter((id) => !had.has(id)).length + before.filter((id) => !has.has(id)).length;
    if (differ) return differ;
    const moves = after.filter((id, place) => id !== before[place]).length;
    return moves || (shape(old) === shape(wanted) ? 0 : 1);
  }

  const shape = (at) => at.querySelectorAll("tr, li, section, table, ul, ol").length;

  /* What is worth saying of a row: all but the time that passes. */
  const sense = (row) => {
    const copy = row.cloneNode(true);
    for (const quiet of copy.querySelectorAll("[data-live-quiet], form")) quiet.remove();
    return copy.textContent.replace(/\s+/g, " ").trim();
  };

  function morph(old, wanted, calm) {
    if (old.isEqualNode(wanted)) return;
    if (old.nodeType !== 1) { if (old.data !== wanted.data) old.data = wanted.data; return; }
    const row = isRow(old) ? old : null;
    const before = row && sense(row);
    attributes(old, wanted);
    if (old.matches("select, textarea") || (old.matches("form") && (filled(old) || focused(old)))) return;
    if (rows(old).length || rows(wanted).length) keyed(old, wanted, calm);
    else inOrder(old, wanted, calm);
    if (row && before !== sense(row)) changed.add(row);
  }

  function attributes(old, wanted) {
    const field = old.matches("input, select, textarea") && old.type !== "hidden";
    const kept = (name) => (name === "open" && old.matches("details")) || name === "tabindex" || (field && name !== "aria-invalid");
    for (const { name, value } of [...wanted.attributes])
      if (!kept(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    for (const { name } of [...old.attributes])
      if (!kept(name) && !wanted.hasAttribute(name)) old.removeAttribute(name);
  }

  const plain = (at) => [...at.children].filter((child) => !child.id);

  function same(one, other) {
    return one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id || "") === (other.id || "");
  }

  /* A list of rows: those that stay are kept as they are, others come, go and move only where that is calm. */
  function keyed(old, wanted, calm) {
    const known = new Map(rows(old).map((row) => [row.id, row]));
    if (!calm) {
      for (const row of rows(wanted)) if (known.has(row.id)) morph(known.get(row.id), row, calm);
      const mine = plain(old), theirs = plain(wanted);
      if (mine.length === theirs.length) mine.forEach((one, at) => same(one, theirs[at]) && morph(one, theirs[at], calm));
      return;
    }
    const loose = [...old.childNodes].filter((child) => !child.id);
    let at = old.firstChild;
    for (const next of wanted.childNodes) {
      let mine = next.id ? known.get(next.id) : loose.find((one) => same(one, next));
      if (mine && !next.id) loose.splice(loose.indexOf(mine), 1);
      if (mine) {
        known.delete(mine.id);
        if (mine !== at && !focused(mine)) old.insertBefore(mine, at);
        if (mine.nodeName === next.nodeName) morph(mine, next, calm);
      } else {
        mine = document.importNode(next, true);
        old.insertBefore(mine, at);
        if (isRow(mine)) changed.add(mine);
      }
      at = mine.nextSibling;
    }
    for (const row of [...known.values(), ...loose]) if (row.nodeType !== 1 || !held(row)) row.remove();
  }

  /* Anything else: child by child. */
  function inOrder(old, wanted, calm) {
    const mine = [...old.childNodes], theirs = [...wanted.childNodes];
    const fits = mine.length === theirs.length && mine.every((one, place) => same(one, theirs[place]));
    if (fits) { mine.forEach((one, place) => morph(one, theirs[place], calm)); return; }
    if (mine.some((one) => one.nodeType === 1 && held(one))) return;
    const within = old.closest("tbody > [id], ul > [id], ol > [id]");
    if (!calm && !within) return;
    old.replaceChildren(...theirs.map((one) => document.importNode(one, true)));
  }

  /* --- beginning, resting, ending --- */

  part("pause").addEventListener("click", () => {
    still = !still;
    try { sessionStorage.setItem("still", still ? "1" : ""); } catch { /* then only for this page */ }
    if (still) { close(); clearTimeout(again); lost = 0; part("banner").hidden = true; }
    else { connect(); fetchSoon(); }
    state();
    say(still ? words.still : words.again);
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { close(); clearTimeout(again); return; }
    if (unseen) { unseen = false; fetchSoon(); }
    connect();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) { fetchSoon(); connect(); } });
  addEventListener("online", () => { if (lost) { clearTimeout(again); ask(); } });
  addEventListener("offline", () => { close(); dropped(); });
  setInterval(() => { if (source && !lost) fetchSoon(); }, MINUTE + Math.random() * 5000);

  const wall = document.querySelector("[data-turn]");  // a wall shows one page of its list after the other
  if (wall) setInterval(() => { if (source && !lost && !still) location.assign(wall.dataset.turned); }, wall.dataset.turn * 1000);

  try { still = sessionStorage.getItem("still") === "1"; } catch { /* not kept */ }
  state();
  connect();
})();
