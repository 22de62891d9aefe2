// The first view: every city with its devices.

import { make, mark, say } from "./dom.js";
import { DEVICE_SHAPES } from "./model.js";
import * as texts from "./texts.js";

const EVERY_MS = 5000;

export class Country {
  constructor(main, notice) {
    this.main = main;
    this.notice = notice;
    this.cities = null;
    this.lostSince = null;
    this.skew = 0;
  }

  start() {
    this.load();
    setInterval(() => this.load(), EVERY_MS);
    setInterval(() => this.tick(), 1000);
  }

  async load() {
    try {
      const answer = await fetch("/v1/cities");
      if (!answer.ok) throw new Error(String(answer.status));
      const sent = Date.parse(answer.headers.get("date") ?? "");
      if (!Number.isNaN(sent)) this.skew = sent - Date.now();
      this.cities = (await answer.json()).items;
      this.lostSince = null;
    } catch {
      this.lostSince ??= Date.now();
    }
    this.render();
  }

  render() {
    const lost = this.lostSince !== null;
    mark(this.notice, "hidden", lost ? null : "");
    say(this.notice, lost ? texts.text("page.lost_since", { time: texts.clock(this.lostSince) }) : "");
    document.title = `Qytet · ${texts.text("page.tagline")}`;
    if (this.cities === null) return;
    const heading = make("h1", { text: texts.text("page.tagline") });
    const cards = this.cities.map((city) => this.card(city));
    const list = cards.length ? make("ul", { class: "country" }, ...cards) : make("p", { class: "empty", text: texts.text("page.no_cities") });
    const focused = document.activeElement?.getAttribute?.("href");
    this.main.replaceChildren(make("div", { class: "title home" }, heading), list);
    if (focused) this.main.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    this.tick();
  }

  card(city) {
    const parts = ["ready", "sleeping", "silent"].filter((state) => state !== "sleeping" || city.sleeping > 0);
    const counts = parts.map((state) =>
      make("div", { class: `count ${state}` },
        make("dt", {}, make("span", { class: "shape", "aria-hidden": "true", text: DEVICE_SHAPES[state] }), texts.text(`count.${state}`)),
        make("dd", { text: texts.number(city[state], 0) })));
    const bar = make("progress", { max: Math.max(1, city.devices), value: city.ready + city.sleeping, "aria-hidden": "true" });
    return make("li", {},
      make("a", { class: "card city", href: `/city/${city.city}` },
        make("h2", { text: city.name }),
        make("dl", { class: "counts" }, ...counts),
        bar,
        make("p", { class: "fresh", "data-seen": city.seen_at })));
  }

  tick() {
    for (const line of this.main.querySelectorAll(".fresh")) {
      const seen = line.dataset.seen;
      const seconds = (Date.now() + this.skew - Date.parse(seen)) / 1000;
      say(line, texts.text("age.heard", { age: seen ? texts.age(seconds) : texts.text("age.never") }));
    }
  }
}
