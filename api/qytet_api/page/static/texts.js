// The texts of the chosen language, numbers and instants as that language writes them.

const LANGUAGES = ["sq", "en"];
const LOCALES = { sq: "sq-AL", en: "en-GB" };

let language = initial();
let texts = {};

function initial() {
  let kept = null;
  try {
    kept = localStorage.getItem("language");
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
  return LANGUAGES.includes(kept) ? kept : document.documentElement.lang;
}

export function current() {
  return language;
}

export async function use(chosen) {
  const answer = await fetch(`/v1/messages/${chosen}`);
  if (!answer.ok) throw new Error(`texts: ${answer.status}`);
  texts = await answer.json();
  language = chosen;
  document.documentElement.lang = chosen;
  try {
    localStorage.setItem("language", chosen);
  } catch {
    // See above.
  }
}

export function text(key, values = {}) {
  const template = texts[key] ?? key;
  return template.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export function has(key) {
  return key in texts;
}

// Browsers without Albanian data would fall back to the system's language: write the comma ourselves.
export function number(value, digits) {
  const plain = value.toFixed(digits);
  const [whole, fraction] = plain.replace("-", "").split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
  const sign = Number(plain) < 0 ? "\u2212" : "";
  return sign + grouped + (fraction ? (language === "sq" ? "," : ".") + fraction : "");
}

// As many digits as a reader can use: three figures that matter, at most two behind the mark; counts are whole.
export function figure(value, whole) {
  const size = Math.abs(value);
  if ((whole && Number.isInteger(value)) || size >= 100) return number(value, 0);
  return number(value, size >= 10 ? 1 : 2);
}

export function clock(instant) {
  return new Intl.DateTimeFormat(LOCALES[language], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }).format(instant);
}

export function age(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return text("age.seconds", { n: s });
  if (s < 3600) return text("age.minutes", { n: Math.floor(s / 60) });
  if (s < 86400) return text("age.hours", { n: Math.floor(s / 3600) });
  return text("age.days", { n: Math.floor(s / 86400) });
}
