// One city: a section for each domain, a card for each device, values that change in place.

import { make, mark, say } from "./dom.js";
import { Live } from "./live.js";
import * as model from "./model.js";
import * as texts from "./texts.js";

const LEDGER_MS = 10000;

export class City {
  constructor(main, notice, slug) {
    this.main = main;
    this.notice = notice;
    this.slug = slug;
    this.name = slug;
    this.totals = null;
    this.cells = new Map();
    this.chips = new Map();
    this.ages = new Map();
    this.shape = "";
  }

  async start() {
    if (!(await this.exists())) {
      this.main.replaceChildren(make("p", { class: "empty", text: texts.text("page.no_city") }));
      return;
    }
    this.live = new Live(this.slug, () => this.update());
    this.render();
    this.ledger();
    setInterval(() => this.ledger(), LEDGER_MS);
    setInterval(() => this.update(), 1000);
  }

  // Only a clear "no such city" counts as one; while the server is away the page waits for it.
  async exists() {
    try {
      const answer = await fetch(`/v1/cities/${this.slug}`);
      if (answer.ok) this.name = (await answer.json()).name;
      return answer.status !== 404 && answer.status !== 422;
    } catch {
      return true;
    }
  }

  async ledger() {
    try {
      const answer = await fetch(`/v1/ledger/totals?city=${this.slug}`);
      if (answer.ok) this.totals = await answer.json();
    } catch {
      // The notice already says that the server is away; the last count stays.
    }
    this.update();
  }

  devices() {
    const byDevice = new Map();
    for (const reading of this.live.latest.values()) {
      if (!byDevice.has(reading.device)) byDevice.set(reading.device, []);
      byDevice.get(reading.device).push(reading);
    }
    return byDevice;
  }

  // Built anew only when devices or datastreams come or go; else values change in place.
  layout(byDevice) {
    return JSON.stringify([texts.current(), [...byDevice].map(([name, rows]) => [name, rows.map((r) => r.datastream_id).sort()])]);
  }

  render() {
    if (!this.live) return;
    this.cells.clear();
    this.chips.clear();
    this.ages.clear();
    const byDevice = this.devices();
    this.shape = this.layout(byDevice);
    document.title = `${this.name} · Qytet`;
    const opened = new Set([...this.main.querySelectorAll("details[open]")].map((part) => part.id));
    const sections = model.DOMAINS.map((domain) => this.section(domain, byDevice, opened)).filter(Boolean);
    const empty = this.live.known ? texts.text("page.no_values") : texts.text("page.loading");
    this.main.replaceChildren(this.head(), ...(sections.length ? sections : [make("p", { class: "empty", text: empty })]));
    this.refresh();
  }

  head() {
    this.counts = make("dl", { class: "counts" });
    this.pulse = make("span", { class: "pulse" });
    return make("div", { class: "title" }, make("div", {}, make("h1", { text: this.name }), this.pulse), this.counts);
  }

  section(domain, byDevice, opened) {
    const cards = [];
    for (const [name, readings] of byDevice) {
      if (model.domainOf(readings) === domain) cards.push([name, this.card(name, readings, opened)]);
    }
    if (!cards.length) return null;
    cards.sort((a, b) => a[0].localeCompare(b[0]));
    const id = `domain-${domain}`;
    return make("section", { class: `domain ${domain}`, "aria-labelledby": id },
      make("h2", { id, text: texts.text(`domain.${domain}`) }),
      make("ul", { class: "cards" }, ...cards.map(([, card]) => make("li", {}, card))));
  }

  card(name, readings, opened) {
    const { headline, shown, hidden } = model.rowsOf(readings);
    const device = this.live.devices.get(name);
    const chip = make("span", { class: "chip" }, make("span", { class: "shape", "aria-hidden": "true" }), make("span"));
    const age = make("span", { class: "age" });
    this.chips.set(name, chip);
    this.ages.set(name, { age, readings: readings.map((r) => r.datastream_id) });
    const more = hidden.length
      ? make("details", { id: `more-${name}` }, make("summary", { text: `${texts.text("page.more")} (${hidden.length})` }), this.table(hidden))
      : null;
    if (more && opened.has(more.id)) more.open = true;
    return make("article", { class: "card", "aria-label": `${device?.site_name ?? name}, ${name}` },
      make("header", {}, make("h3", { text: device?.site_name ?? name }), chip),
      headline ? this.headline(headline) : null,
      shown.length ? this.table(shown) : null,
      more,
      make("footer", {}, make("span", { class: "name", text: name }), age));
  }

  headline(row) {
    return make("div", { class: row.channels.length > 2 ? "headline many" : "headline" },
      make("h4", { text: texts.text(`property.${row.property}`) }),
      make("div", { class: "channels" }, ...row.channels.map((reading) => this.value(reading, row.channels.length > 1))));
  }

  table(rows) {
    return make("dl", { class: "rows" }, ...rows.map((row) =>
      make("div", {},
        make("dt", { text: texts.text(`property.${row.property}`) }),
        make("dd", {}, ...row.channels.map((reading) => this.value(reading, row.channels.length > 1))))));
  }

  value(reading, labelled) {
    const figure = make("b");
    const state = make("span", { class: "state" });
    const cell = make("span", { class: "value", "data-stream": reading.datastream_id },
      labelled ? make("i", { text: channelName(reading.channel) }) : null,
      figure, make("span", { class: "unit", text: reading.unit }), state);
    this.cells.set(reading.datastream_id, { cell, figure, state });
    return cell;
  }

  update() {
    if (this.live.known && this.layout(this.devices()) !== this.shape) this.render();
    else this.refresh();
  }

  refresh() {
    const now = this.live.now();
    for (const [id, parts] of this.cells) this.show(this.live.latest.get(id), parts, now);
    for (const [name, chip] of this.chips) this.showDevice(name, chip);
    for (const { age, readings } of this.ages.values()) {
      const newest = Math.max(...readings.map((id) => this.live.latest.get(id)?.at ?? 0));
      say(age, texts.age((now - newest) / 1000));
    }
    this.showHead();
  }

  show(reading, { cell, figure, state }, now) {
    if (!reading) return;
    const kind = model.stateOf(reading, now);
    mark(cell, "data-state", kind);
    say(figure, kind === "missing" ? "–" : written(reading));
    const since = kind === "stale" ? ` ${texts.age((now - reading.at) / 1000)}` : "";
    say(state, kind === "good" ? "" : `${model.SHAPES[kind]} ${texts.text(`quality.${kind}`)}${since}`.trim());
  }

  showDevice(name, chip) {
    const device = this.live.devices.get(name);
    if (!device) return;
    const state = model.deviceState(device);
    mark(chip, "data-state", state);
    say(chip.firstChild, model.DEVICE_SHAPES[state]);
    say(chip.lastChild, texts.text(`state.${state}`));
  }

  showHead() {
    const { lostSince, databaseSince } = this.live;
    const key = lostSince !== null ? "page.lost_since" : databaseSince !== null ? "page.database_since" : null;
    mark(this.notice, "hidden", key ? null : "");
    say(this.notice, key ? texts.text(key, { time: texts.clock(lostSince ?? databaseSince) }) : "");
    mark(this.pulse, "data-state", key ? "lost" : "live");
    say(this.pulse, key ? "" : texts.text("page.live"));
    const tally = { ready: 0, sleeping: 0, silent: 0 };
    for (const device of this.live.devices.values()) tally[model.deviceState(device)] += 1;
    const entries = [["ready", tally.ready], ["sleeping", tally.sleeping || null], ["silent", tally.silent],
      ["received", this.totals?.received], ["missing", this.totals?.missing]].filter(([, n]) => n !== null && n !== undefined);
    const wanted = JSON.stringify([texts.current(), entries]);
    if (this.counts.dataset.shown === wanted) return;
    this.counts.dataset.shown = wanted;
    this.announce(tally.silent);
    this.counts.replaceChildren(...entries.map(([name, n]) => count(name, n)));
  }

  // Values change every second: only devices that fall silent or return are worth speaking of.
  announce(silent) {
    if (!this.live.known || silent === this.silent) return;
    if (this.silent !== undefined) say(document.getElementById("spoken"), `${texts.text("count.silent")}: ${silent}`);
    this.silent = silent;
  }
}

function count(name, n) {
  const shape = model.DEVICE_SHAPES[name];
  return make("div", { class: `count ${name}${n === 0 ? " none" : ""}` },
    make("dt", {}, shape ? make("span", { class: "shape", "aria-hidden": "true", text: shape }) : "", texts.text(`count.${name}`)),
    make("dd", { text: texts.number(n, 0) }));
}

function written(reading) {
  if (model.isBinary(reading.property)) return texts.text(reading.value ? "yesno.yes" : "yesno.no");
  return texts.figure(reading.value, reading.unit === "" || reading.unit === "°");
}

function channelName(channel) {
  const [, kind, n] = /^([a-z_-]+?)(\d*)$/.exec(channel) ?? [null, channel, ""];
  return texts.has(`channel.${kind}`) ? texts.text(`channel.${kind}`, { n }) : channel;
}
