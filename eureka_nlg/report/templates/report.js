// ---- the table of replies --------------------------------------------------------------------------------
if (document.getElementById("data")) {
  const FIRST = 10;  // rows in the page before more are asked for
  const PIECE = 40;  // rows that are put into the page at a time
  const FEW = 20;  // training occurrences below which a word is marked more strongly
  const data = JSON.parse(document.getElementById("data").textContent);
  const rare = new Map(Object.entries(data.rare));
  const unseen = new Set(data.unseen);
  const [table, more, status, search, sort, direction] =
    ["table", "more", "status", "search", "sort", "direction"].map((id) => document.getElementById(id));
  const [differ, onlyRare] = ["differ", "only-rare"].map((id) => document.getElementById(id));
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];

  const words = (text) => text.split(/\s+/).filter(Boolean);
  const rareIn = (text) => words(text).filter((word) => rare.has(word)).length;
  const rows = data.rows.map(([context, reference, ...replies], index) => ({
    index, context, reference, replies,
    f1: data.f1[index],
    copies: data.copies[index],
    rare: replies.map(rareIn),
    text: [context, reference, ...replies].join("\n").toLowerCase(),
  }));

  const collator = new Intl.Collator("en", { numeric: true });
  const KEYS = {
    order: (row) => row.index,
    context: (row) => row.context,
    reference: (row) => row.reference,
    text: (row, system) => row.replies[system],
    f1: (row, system) => row.f1[system],
    rare: (row, system) => row.rare[system],
    length: (row, system) => words(row.replies[system]).length,
    copies: (row, system) => row.copies[system],
    gap: (row) => row.f1[row.f1.length - 1] - row.f1[0],
  };
  const NUMBERS_FALL = new Set(["f1", "rare", "length", "copies", "gap"]);  // the largest first, unless asked

  let descending = false;
  let found = [];
  let shown = 0;
  let terms = [];

  const element = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };

  // Text only ever gets into the page as text nodes, so nothing in the data can act as markup.
  const highlighted = (word) => {
    const lower = word.toLowerCase();
    // lower case may have another length, and positions would not fit then
    const hit = lower.length === word.length && terms.find((term) => lower.includes(term));
    if (!hit) return [word];
    const start = lower.indexOf(hit);
    const end = start + hit.length;
    return [word.slice(0, start), element("mark", { class: "hit" }, word.slice(start, end)), word.slice(end)];
  };
  const marked = (text) => text.split(/(\s+)/).flatMap((word) => {
    if (rare.has(word)) {
      const count = rare.get(word);
      const kind = count < FEW ? "rare few" : "rare";
      return [element("mark", { class: kind, title: `${count} in training` }, ...highlighted(word))];
    }
    if (unseen.has(word)) {
      return [element("mark", { class: "unseen", title: "not in training" }, ...highlighted(word))];
    }
    return highlighted(word);
  });

  const contextParts = (context) => {
    const parts = context.split(/(<persona>|<partner>|<self>)\s*/);
    const said = [];
    const persona = [];
    if (parts[0].trim()) said.push(["", parts[0]]);
    for (let at = 1; at < parts.length; at += 2) {
      if (parts[at] === "<persona>") persona.push(parts[at + 1].trim());
      else said.push([parts[at].slice(1, -1), parts[at + 1].trim()]);
    }
    return { said, persona };
  };
  const turn = ([speaker, text]) =>
    element("div", {}, ...(speaker ? [element("span", { class: "speaker" }, speaker)] : []), ...marked(text));
  const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const contextCell = (context) => {
    const { said, persona } = contextParts(context);
    const before = said.slice(0, -1);
    const nodes = said.slice(-1).map(turn);
    if (persona.length || before.length) {
      const counts = [];
      if (persona.length) counts.push(plural(persona.length, "persona sentence"));
      if (before.length) counts.push(plural(before.length, "earlier turn"));
      const details = element("details", {}, element("summary", {}, counts.join(", ")));
      details.append(...persona.map((sentence) => element("div", {}, ...marked(sentence))), ...before.map(turn));
      // a hit must not hide
      const hidden = [...persona, ...before.map(([, text]) => text)].join(" ").toLowerCase();
      details.open = terms.some((term) => hidden.includes(term));
      nodes.push(details);
    }
    return nodes;
  };
  const replyCell = (row, system) => {
    const notes = [`F1 ${row.f1[system]}`];
    if (row.rare[system]) notes.push(`${row.rare[system]} rare`);
    if (row.copies[system] > 1) notes.push(`given ×${row.copies[system].toLocaleString("en")}`);
    return [...marked(row.replies[system] || "(empty)"), element("small", {}, notes.join(" · "))];
  };
  const cell = (label, nodes) => element("td", { role: "cell", "data-label": label }, ...nodes);
  const rowElement = (row) => element("tr", { role: "row" },
    cell("", [String(row.index + 1)]),
    cell("context", contextCell(row.context)),
    cell("reference", marked(row.reference)),
    ...data.names.map((name, system) => cell(name, replyCell(row, system))));

  const showMore = () => {
    // a few at first: the sections below are to be reached too
    const next = found.slice(shown, shown + (shown ? PIECE : FIRST)).map(rowElement);
    body.append(...next);
    shown += next.length;
    more.hidden = shown >= found.length;
  };

  const update = () => {
    terms = words(search.value.toLowerCase());
    found = rows.filter((row) =>
      terms.every((term) => row.text.includes(term)) &&
      !(differ?.checked && row.replies.every((reply) => reply === row.replies[0])) &&
      !(onlyRare?.checked && !row.rare.some(Boolean)));
    const [name, system] = sort.value.split(":");
    const key = (row) => KEYS[name](row, Number(system));
    const sign = descending ? -1 : 1;
    // the keys are computed once; the order in the data decides between equals
    found = found.map((row) => [key(row), row])
      .sort(([a, left], [b, right]) =>
        sign * (typeof a === "number" ? a - b : collator.compare(a, b)) || left.index - right.index)
      .map(([, row]) => row);
    for (const header of headers) {
      if (header.dataset.sort === sort.value) {
        header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      } else {
        header.removeAttribute("aria-sort");
      }
    }
    direction.textContent = descending ? "↓" : "↑";
    direction.setAttribute("aria-label", descending ? "Sort in ascending order" : "Sort in descending order");
    status.textContent = found.length === rows.length
      ? `${rows.length.toLocaleString("en")} examples`
      : `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} examples`;
    body.replaceChildren();
    shown = 0;
    showMore();
  };

  // What is shown can be linked: search, order and boxes stand behind the # of the address.
  const boxes = { differ, rare: onlyRare };
  const remember = () => {
    const state = new URLSearchParams();
    if (search.value) state.set("search", search.value);
    if (sort.value !== "order" || descending) state.set("sort", `${descending ? "-" : ""}${sort.value}`);
    for (const [name, box] of Object.entries(boxes)) if (box?.checked) state.set(name, "1");
    const address = state.size ? `#replies?${state}` : "#replies";
    try { history.replaceState(null, "", address); } catch { /* a file may not be allowed to */ }
  };
  const recall = () => {
    const [section, query] = location.hash.split("?");
    if (section !== "#replies" || query === undefined) return;
    const state = new URLSearchParams(query);
    search.value = state.get("search") ?? "";
    const order = state.get("sort") ?? "order";
    const known = [...sort.options].some((option) => option.value === order.replace(/^-/, ""));
    descending = known && order.startsWith("-");
    sort.value = known ? order.replace(/^-/, "") : "order";
    for (const [name, box] of Object.entries(boxes)) if (box) box.checked = state.has(name);
    document.getElementById("replies").scrollIntoView();
  };
  const changed = () => { update(); remember(); };

  const sortBy = (value) => {
    descending = sort.value === value ? !descending : NUMBERS_FALL.has(value.split(":")[0]);
    sort.value = value;
    changed();
  };

  let timer;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(changed, 120); });
  document.getElementById("controls").addEventListener("submit", (event) => event.preventDefault());
  sort.addEventListener("change", () => {
    descending = NUMBERS_FALL.has(sort.value.split(":")[0]);
    changed();
  });
  direction.addEventListener("click", () => { descending = !descending; changed(); });
  for (const box of [differ, onlyRare]) box?.addEventListener("change", changed);
  for (const header of headers) {
    header.querySelector("button").addEventListener("click", () => sortBy(header.dataset.sort));
  }
  more.addEventListener("click", showMore);

  document.getElementById("controls").hidden = false;
  table.hidden = false;
  recall();
  update();
  window.addEventListener("hashchange", () => { recall(); update(); });
}
