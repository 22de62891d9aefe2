// Starts the view that the address names, and switches languages.

import { City } from "./city.js";
import { Country } from "./country.js";
import { make, mark } from "./dom.js";
import { frame, speak } from "./frame.js";
import * as texts from "./texts.js";

const main = document.getElementById("content");
const notice = document.getElementById("notice");
const slug = /^\/city\/([a-z0-9_-]{1,64})$/.exec(location.pathname)?.[1] ?? null;
const view = slug ? new City(main, notice, slug) : new Country(main, notice);
let cities = [];

function render() {
  frame();
  const nav = document.getElementById("cities");
  mark(nav, "aria-label", texts.text("page.cities"));
  nav.replaceChildren(...cities.map((city) =>
    make("a", { href: `/city/${city.city}`, "aria-current": city.city === slug ? "page" : null, text: city.name })));
}

async function loadCities() {
  try {
    const answer = await fetch("/v1/cities");
    if (answer.ok) cities = (await answer.json()).items;
    render();
  } catch {
    // Without it the page still shows its city; the next load brings the list.
  }
}

async function begin() {
  await speak(() => {
    render();
    view.render();
  });
  loadCities();
  await view.start();
}

begin();
