// How readings are ordered for people: which domain, which first, which hidden behind "more".

export const DOMAINS = ["air", "traffic", "water", "lighting", "other"];

const DOMAIN_OF = {
  air_quality: "air",
  micromet: "air",
  traffic: "traffic",
  parking: "traffic",
  water: "water",
  lighting: "lighting",
  power_grid: "lighting",
};

// The first one that a device has is its headline; the others follow in this order.
const ORDER = [
  "pm2_5", "pm10", "no2", "o3", "so2", "co",
  "vehicle_count", "vehicle_speed_mean", "lane_occupancy",
  "water_pressure", "water_tank_level", "water_free_chlorine", "water_flow_rate", "water_ph", "water_turbidity",
  "pump_running", "cabinet_active_power", "lamp_active_power", "lamp_dimming_level", "photocell_illuminance",
  "air_temperature", "relative_humidity", "wind_speed", "wind_from_direction", "precipitation_amount",
];
const SHOWN = 5;
const MOST_CHANNELS = 3; // a row of more is long: it waits behind "more"
const BINARY = new Set(["pump_running", "cabinet_door_open", "sewer_overflow_active", "parking_space_occupied"]);

export function isBinary(property) {
  return BINARY.has(property);
}

function rank(property) {
  const place = ORDER.indexOf(property);
  return place < 0 ? ORDER.length : place;
}

export function domainOf(readings) {
  const counts = new Map();
  for (const reading of readings) {
    const domain = DOMAIN_OF[reading.domain];
    if (domain) counts.set(domain, (counts.get(domain) ?? 0) + 1);
  }
  const best = [...counts].sort((a, b) => b[1] - a[1])[0];
  return best ? best[0] : "other";
}

// Readings of a device as rows: a property with its channels; without the device's own health.
export function rowsOf(readings) {
  const rows = new Map();
  for (const reading of readings) {
    if (reading.domain === "device_health") continue;
    if (!rows.has(reading.property)) rows.set(reading.property, []);
    rows.get(reading.property).push(reading);
  }
  const sorted = [...rows].map(([property, channels]) => ({
    property,
    channels: channels.sort((a, b) => a.channel.localeCompare(b.channel, undefined, { numeric: true })),
  }));
  sorted.sort((a, b) => rank(a.property) - rank(b.property) || a.property.localeCompare(b.property));
  const [headline = null, ...rest] = sorted;
  const brief = rest.filter((row) => row.channels.length <= MOST_CHANNELS).slice(0, SHOWN - 1);
  return { headline, shown: brief, hidden: rest.filter((row) => !brief.includes(row)) };
}

// The state of a reading now: shape, words and colour are all chosen by this one name.
export function stateOf(reading, now) {
  if (reading.value === null || reading.quality === 9) return "missing";
  if (reading.quality === 4) return "fail";
  if ((now - reading.at) / 1000 > reading.stale_after_s) return "stale";
  return reading.quality === 3 ? "suspect" : "good";
}

export const SHAPES = { good: "", suspect: "▲", fail: "✕", missing: "–", stale: "◌" };
export const DEVICE_SHAPES = { ready: "●", sleeping: "◐", silent: "○" };

export function deviceState(device) {
  if (device.silent) return "silent";
  return device.state === "sleeping" ? "sleeping" : "ready";
}
