// ---- talking to the models -------------------------------------------------------------------------------
{
  const FEW = 20;  // training occurrences below which a word is marked more strongly
  // the options that the page offers: [name, label, smallest step]
  const OPTIONS = [
    ["beam", "beam", 1], ["nbest", "replies", 1], ["sampling", "sample", null], ["temperature", "temperature", 0.1],
    ["top_p", "top p", 0.05], ["top_k", "top k", 1], ["no_repeat_ngram_size", "no repeated n-gram of", 1],
    ["max_length", "longest, in tokens", 1], ["seed", "seed", 1],
  ];
  const id = (name) => document.getElementById(name);
  const [log, form, message, send, persona, problem] =
    ["log", "form", "message", "send", "persona", "problem"].map(id);
  const state = { models: [], exchanges: [], decoding: {}, waiting: 0 };

  // Text only ever gets into the page as text nodes, so nothing that a model writes can act as markup.
  const element = (name, attributes = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const color = (node, index) => { node.style.setProperty("--c", `var(--series-${index % 8 + 1})`); return node; };
  const swatch = (index) => color(element("i", { class: "swatch", "aria-hidden": "true" }), index);
  const marked = (pieces) => pieces.map(([text, count]) => {
    if (count === null) return text;
    if (count === 0) return element("mark", { class: "unseen", title: "not in training" }, text);
    return element("mark", { class: count < FEW ? "rare few" : "rare", title: `${count} in training` }, text);
  });
  const button = (label, action) => {
    const node = element("button", { type: "button" }, label);
    node.addEventListener("click", action);
    return node;
  };

  const complain = (text) => { problem.textContent = text; problem.hidden = !text; };
  const ask = async (path, body) => {
    let response;
    try {
      response = await fetch(path, body && {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
    } catch {
      throw new Error("The server does not answer. Is `eureka serve` still running?");
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error || `The server refused (${response.status}).`);
    return answer;
  };

  const sentences = () => persona.value.split("\n").map((line) => line.trim()).filter(Boolean);
  // what a model reads: the messages, and between them its own replies
  const turns = (index, upto) => state.exchanges.slice(0, upto + 1).flatMap((exchange, at) =>
    at < upto ? [exchange.message, replyOf(exchange, index).raw] : [exchange.message]);
  // what a model goes on with: its own reply or the one that was chosen, whose raw is in the words of the model that
  // wrote it; others read the text
  const replyOf = ({ replies, kept }, index) => kept === null || kept === index ? replies[index][0]
    : { ...replies[kept][0], raw: replies[kept][0].text };
  const request = (index, upto) => ({ model: index, persona: sentences(), turns: turns(index, upto) });

  const decoding = () => {
    const values = {};
    for (const [name] of OPTIONS) {
      const input = id(`option-${name}`);
      if (input.type === "checkbox") values[name] = input.checked;
      else values[name] = input.value === "" ? null : Number(input.value);  // null: the default
    }
    if (!values.sampling) for (const name of ["temperature", "top_p", "top_k"]) values[name] = null;
    return values;
  };
  const describe = () => {
    const values = decoding();
    const adjusted = state.models[0]?.logit_adjustment ?? null;
    id("decoding-said").textContent = (values.sampling ? "sampling" : values.beam > 1 ? `beam ${values.beam}` : "greedy")
      + (adjusted === null ? "" : `, logit adjustment ${adjusted}`);
    const only = (name, possible, when) => {
      const input = id(`option-${name}`);
      input.disabled = !possible;
      input.parentNode.title = possible ? "" : when;
    };
    for (const name of ["temperature", "top_p", "top_k"]) only(name, values.sampling, "when words are sampled");
    only("beam", !values.sampling, "when words are not sampled");
    const count = sentences().length;
    id("persona-count").textContent = count ? `${count} sentence${count === 1 ? "" : "s"}` : "none";
  };

  const update = () => {
    const busy = state.waiting > 0;
    send.disabled = busy;
    id("undo").disabled = id("reset").disabled = busy || !state.exchanges.length;
    id("empty").hidden = state.exchanges.length > 0;
    for (const node of log.querySelectorAll(".actions button")) node.disabled = busy;
  };

  const waiting = (card) => {
    const since = performance.now();
    const seconds = element("small");
    const node = element("p", { class: "wait" }, element("i"), element("i"), element("i"), " ", seconds);
    const timer = setInterval(() => { seconds.textContent = `${Math.round((performance.now() - since) / 1000)} s`; }, 1000);
    card.append(node);
    return () => { clearInterval(timer); node.remove(); };
  };

  const explain = async (card, index, at) => {
    card.querySelector(".tokens")?.remove();
    const reply = replyOf(state.exchanges[at], index);
    const { tokens } = await ask("/api/likelihoods", { ...request(index, at), raw: reply.raw });
    const row = element("div", { class: "tokens" });
    for (const [token, value] of tokens) {
      const likelihood = Math.exp(value);
      const node = element("span", {}, token.trim() || "␣", element("small", {}, likelihood.toFixed(2)));
      node.style.setProperty("--p", (100 * likelihood).toFixed(0));
      row.append(node);
    }
    if (state.models[index].logit_adjustment !== null) row.append(element("small", { class: "note" }, "before the logit adjustment"));
    card.append(row);
  };
  const keep = (index, at) => {
    state.exchanges[at].kept = index;
    state.exchanges[at].cards.forEach((card, other) => card.classList.toggle("kept", other === index));
  };

  const show = (card, index, at, answer) => {
    const { replies, seconds } = answer;
    const texts = replies.map(({ text, pieces }) => text ? marked(pieces) : ["(nothing)"]);
    card.append(texts.length === 1 ? element("p", {}, ...texts[0])
      : element("ol", {}, ...texts.map((nodes) => element("li", {}, ...nodes))));
    const actions = element("div", { class: "actions" },
      button("How likely?", () => explain(card, index, at).catch((error) => complain(error.message))));
    // a later exchange has read what was kept before
    if (state.models.length > 1) actions.append(button("All go on with this", () => {
      if (at === state.exchanges.length - 1) keep(index, at);
      else complain("Only the last reply can be chosen: what came later was said to the others.");
    }));
    actions.append(element("small", {}, `${seconds.toFixed(1)} s`));
    card.append(actions);
  };

  const say = async (text) => {
    complain("");
    const at = state.exchanges.length;
    const exchange = { message: text, replies: [], kept: null, cards: [] };
    state.exchanges.push(exchange);
    const row = element("div", { class: "replies" });
    const node = element("div", { class: "exchange" }, element("div", { class: "said" }, element("p", {}, text)), row);
    exchange.node = node;
    exchange.cards = state.models.map((model, index) => {
      const card = color(element("section", { class: "reply" }, element("h2", {}, model.name)), index);
      row.append(card);
      return card;
    });
    log.append(node);
    state.waiting = state.models.length;
    update();
    node.scrollIntoView({ block: "end" });
    const options = decoding();
    const results = await Promise.allSettled(state.models.map(async (_, index) => {
      const done = waiting(exchange.cards[index]);
      try {
        const answer = await ask("/api/replies", { ...request(index, at), decoding: options });
        exchange.replies[index] = answer.replies;
        show(exchange.cards[index], index, at, answer);
      } finally {
        done();
        state.waiting -= 1;
      }
    }));
    const failed = results.find(({ status }) => status === "rejected");
    if (failed) {  // an exchange that is not whole cannot go on
      state.exchanges.pop();
      node.remove();
      message.value = message.value || text;
      complain(failed.reason.message);
    }
    update();
    if (!failed) node.scrollIntoView({ block: "end" });
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = message.value.trim();
    if (!text || state.waiting || !state.models.length) return;
    message.value = "";
    say(text);
  });
  message.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  persona.addEventListener("input", describe);
  id("undo").addEventListener("click", () => {
    const exchange = state.exchanges.pop();
    exchange.node.remove();
    message.value = message.value || exchange.message;
    message.focus();
    update();
  });
  id("reset").addEventListener("click", () => {
    state.exchanges = [];
    log.replaceChildren();
    message.focus();
    update();
  });

  const start = async () => {
    const about = await ask("/api/models");
    state.models = about.models;
    message.maxLength = about.limits.signs;
    document.title = `${about.models.map((model) => model.name).join(", ")} · eureka`;
    id("models").append(...about.models.map((model, index) => element("li", {}, swatch(index), element("b", {}, model.name), " ",
      element("span", {}, `${model.kind}, ${model.weights}`))));
    persona.value = about.persona.join("\n");
    id("persona-part").open = about.persona.length > 0;
    for (const [name, label, step] of OPTIONS) {
      const value = about.decoding[name];
      const input = element("input", { id: `option-${name}`, ...(step === null ? { type: "checkbox" } : { type: "number", step, min: 0 }) });
      if (step === null) input.checked = value;
      else input.value = value ?? "";
      input.addEventListener("input", describe);
      id("options").append(element("label", {}, label, input));
    }
    const first = about.models.find((model) => model.rare);
    if (first) id("legend").replaceChildren(element("mark", { class: "rare" }, "Underlined"), ` words are rare: ${first.rare}`);
    const notes = about.models.filter((model) => model.note).map((model) => `Rare words of ${model.name} are not marked: ${model.note}.`);
    if (notes.length) complain(notes.join(" "));
    describe();
    update();
    message.focus();
  };
  start().catch((error) => complain(error.message));
}
