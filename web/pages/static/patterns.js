// Series are told apart by more than their colour: lines by dashes, bars by what they are filled
// with; a legend shows the same, as CSS.

import { colour } from "./theme.js";

const TILE = 8; // px

/** @typedef {(draw: CanvasRenderingContext2D) => void} Drawing in the colour of the card */

/** @type {{css: (ink: string, card: string) => string, draw: Drawing}[]} */
const FILLS = [
  { css: (ink) => ink, draw: () => {} },
  { css: (ink, card) => `repeating-linear-gradient(135deg, ${ink} 0 3px, ${card} 3px 5px)`, draw: slanted },
  { css: (ink, card) => `radial-gradient(${card} 1.5px, ${ink} 2px) 0 0 / 6px 6px`, draw: dotted },
  { css: (ink, card) => `repeating-linear-gradient(${ink} 0 3px, ${card} 3px 5px)`, draw: (draw) => draw.fillRect(0, 0, TILE, 2) },
  { css: (ink, card) => `repeating-linear-gradient(90deg, ${ink} 0 2px, ${card} 2px 4px)`, draw: (draw) => draw.fillRect(0, 0, 3, TILE) },
];

/** @param {CanvasRenderingContext2D} draw */
function slanted(draw) {
  draw.lineWidth = 2;
  draw.beginPath();
  for (const start of [-TILE, 0, TILE]) {
    draw.moveTo(start - 1, TILE + 1);
    draw.lineTo(start + TILE + 1, -1);
  }
  draw.stroke();
}

/** @param {CanvasRenderingContext2D} draw */
function dotted(draw) {
  draw.beginPath();
  draw.arc(TILE / 2, TILE / 2, 1.8, 0, 2 * Math.PI);
  draw.fill();
}

/**
 * What a bar is filled with.
 * @param {number} place of the series, from 0
 * @param {string} name of its colour
 * @returns {CanvasPattern | string}
 */
export function barFill(place, name) {
  const canvas = document.createElement("canvas");
  const scale = Math.max(1, Math.round(devicePixelRatio));
  canvas.width = canvas.height = TILE * scale;
  const draw = canvas.getContext("2d");
  if (!draw) return colour(name);
  draw.scale(scale, scale);
  draw.fillStyle = colour(name);
  draw.fillRect(0, 0, TILE, TILE);
  draw.fillStyle = draw.strokeStyle = colour("card");
  FILLS[place % FILLS.length]?.draw(draw);
  return draw.createPattern(canvas, "repeat") ?? colour(name);
}

/**
 * The same for its mark in the legend.
 * @param {number} place
 * @param {string} name
 */
export const barMark = (place, name) => FILLS[place % FILLS.length]?.css(colour(name), colour("card")) ?? colour(name);

/**
 * The mark of a line in the legend.
 * @param {number[]} dash px on, px off, …; empty: no gaps
 * @param {string} name of its colour
 */
export function lineMark(dash, name) {
  const ink = colour(name);
  if (!dash.length) return ink;
  let at = 0;
  const stops = dash.map((length, place) => `${place % 2 ? "transparent" : ink} ${at}px ${(at += length)}px`);
  return `repeating-linear-gradient(90deg, ${stops.join(", ")})`;
}
