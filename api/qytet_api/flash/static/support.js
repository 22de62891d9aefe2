// Whether this browser can speak to a board, and if not, why.

export function missing() {
  if (!window.isSecureContext) return "insecure"; // Web Serial and crypto.subtle exist on https and localhost only
  if (!("serial" in navigator)) return "no_serial";
  return null;
}
