// Light or dark: as the system says, until the switch says otherwise. And the zone of times.

import { byId, setText } from "./dom.js";
import { setZone, zoneName, zoneNow } from "./format.js";

const KEY = "event-counter-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export const changes = new EventTarget();

function isDark() {
  const chosen = localStorage.getItem(KEY);
  return chosen ? chosen === "dark" : system.matches;
}

function apply() {
  const dark = isDark();
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const button = byId("theme");
  setText(button, dark ? "Light" : "Dark");
  button.ariaLabel = dark ? "Switch to light colours" : "Switch to dark colours";
  changes.dispatchEvent(new Event("theme"));
}

export function startTheme() {
  apply();
  system.addEventListener("change", apply);
  byId("theme").addEventListener("click", () => {
    localStorage.setItem(KEY, isDark() ? "light" : "dark");
    apply();
  });
}

/** The switch between UTC and local times, where the page has one. */
export function startZone() {
  const button = byId("zone");
  const show = () => {
    for (const node of document.querySelectorAll(".zone-name")) setText(node, zoneName());
    setText(button, zoneNow() === "utc" ? "Times: UTC" : "Times: local");
    button.ariaLabel = zoneNow() === "utc" ? "Times: UTC; show local times" : "Times: local; show UTC";
  };
  show();
  button.addEventListener("click", () => {
    setZone(zoneNow() === "utc" ? "local" : "utc");
    show();
    changes.dispatchEvent(new Event("zone"));
  });
}

/** @param {string} name of a colour in base.css */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
