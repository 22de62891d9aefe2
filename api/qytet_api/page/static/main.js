// Starts the view that the address names, and switches languages.

import { City } from "./city.js";
import { Country } from "./country.js";
import { make, mark, say } from "./dom.js";
import * as texts from "./texts.js";

const RETRY_MS = 2000;

const main = document.getElementById("content");
const notice = document.getElementById("notice");
const slug = /^\/city\/([a-z0-9_-]{1,64})$/.exec(location.pathname)?.[1] ?? null;
const view = slug ? new City(main, notice, slug) : new Country(main, notice);
let cities = [];

function frame() {
  for (const element of document.querySelectorAll("[data-text]")) say(element, texts.text(element.dataset.text));
  for (const button of document.querySelectorAll("[data-language]")) {
    mark(button, "aria-pressed", button.dataset.language === texts.current() ? "true" : "false");
  }
  mark(document.getElementById("language"), "aria-label", texts.text("page.language"));
  const nav = document.getElementById("cities");
  mark(nav, "aria-label", texts.text("page.cities"));
  nav.replaceChildren(...cities.map((city) =>
    make("a", { href: `/city/${city.city}`, "aria-current": city.city === slug ? "page" : null, text: city.name })));
}

async function loadCities() {
  try {
    const answer = await fetch("/v1/cities");
    if (answer.ok) cities = (await answer.json()).items;
    frame();
  } catch {
    // Without it the page still shows its city; the next load brings the list.
  }
}

async function choose(language) {
  try {
    await texts.use(language);
  } catch {
    return; // the server is away: the page keeps the language that it has
  }
  frame();
  view.render();
}

async function begin() {
  try {
    await texts.use(texts.current());
  } catch {
    setTimeout(begin, RETRY_MS);
    return;
  }
  frame();
  for (const button of document.querySelectorAll("[data-language]")) {
    button.addEventListener("click", () => choose(button.dataset.language));
  }
  loadCities();
  await view.start();
}

begin();
