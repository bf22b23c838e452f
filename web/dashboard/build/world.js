// A world map for the build: Natural Earth's countries (public domain) as short SVG paths by ISO code.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { geoArea, geoCentroid, geoNaturalEarth1, geoPath } from "d3-geo";
import codes from "i18n-iso-countries/codes.json" with { type: "json" };
import { feature } from "topojson-client";
import { presimplify, quantile, simplify } from "topojson-simplify";

export const WIDTH = 720;
export const HEIGHT = 350;

const require = createRequire(import.meta.url);
const load = (name) => JSON.parse(readFileSync(require.resolve(`world-atlas/${name}`), "utf8"));
const alpha2 = new Map(codes.map(([two, , numeric]) => [numeric, two]));
// Lands that Natural Earth draws without a number.
const unnumbered = { Kosovo: "XK" };
const codeOf = ({ id, properties }) => alpha2.get(id) ?? unnumbered[properties.name];

/** `{ "DE": "M1,2l...", ... }` in a WIDTH x HEIGHT box, and `{ "SG": [x, y] }` for lands too small to draw. */
export function world() {
  const coarse = load("countries-110m.json");
  const fine = load("countries-50m.json");
  const weighted = presimplify(coarse);
  const lands = feature(simplify(weighted, quantile(weighted, 0.35)), coarse.objects.countries).features.filter(
    (land) => land.properties.name !== "Antarctica",
  );
  const projection = geoNaturalEarth1().fitExtent([[0, 0], [WIDTH, HEIGHT]], { type: "FeatureCollection", features: lands });
  const draw = geoPath(projection);
  const paths = {};
  for (const land of lands) {
    const code = codeOf(land);
    const path = shorten(draw(land) ?? "");
    if (code && path) paths[code] = path;
  }
  const points = {};
  for (const land of feature(fine, fine.objects.countries).features) {
    const code = codeOf(land);
    if (!code || paths[code] || geoArea(land) === 0) continue;
    const point = projection(geoCentroid(land));
    if (point && point[1] < HEIGHT) points[code] = point.map((n) => Math.round(n * 2));
  }
  return { paths, points };
}

/** A path of absolute decimals as relative whole numbers of half a unit. */
function shorten(path) {
  let out = "";
  for (const ring of path.split("Z").filter(Boolean)) {
    const points = ring.slice(1).split("L").map((pair) => pair.split(",").map((n) => Math.round(n * 2)));
    const [[startX, startY], ...rest] = points;
    let [x, y] = [startX, startY];
    let steps = "";
    for (const [nextX, nextY] of rest) {
      if (nextX === x && nextY === y) continue;
      const dy = nextY - y;
      steps += `${steps && nextX - x >= 0 ? " " : ""}${nextX - x}${dy < 0 ? "" : " "}${dy}`;
      [x, y] = [nextX, nextY];
    }
    if (steps) out += `M${startX} ${startY}l${steps}z`;
  }
  return out;
}
