import { useEffect, useState } from "preact/hooks";
import type { Row } from "../api/query";
import { countryName, formatCount } from "../format";

const AGAIN_MS = 5000;

type World = typeof import("virtual:world").default;

/** Visitors by country: the more, the stronger the colour. The tab beside it has the same as a list. */
export function WorldMap({ rows, onChoose }: { rows: Row[]; onChoose: (code: string) => void }) {
  const [world, setWorld] = useState<World | null>(null);
  const [over, setOver] = useState<string | null>(null);
  useEffect(() => {
    let here = true;
    let timer = 0;
    const load = () =>
      import("virtual:world").then(
        (module) => here && setWorld(module.default),
        () => here && (timer = setTimeout(load, AGAIN_MS)),
      );
    void load();
    return () => {
      here = false;
      clearTimeout(timer);
    };
  }, []);
  if (!world) return <div class="map skeleton" />;
  const visitors = new Map(rows.map((row) => [row.dimensions[0] ?? "", row.metrics[0] ?? 0]));
  const most = Math.max(1, ...visitors.values());
  const shade = (code: string) => {
    const count = visitors.get(code) ?? 0;
    return count ? `shade-${Math.max(1, Math.ceil(5 * Math.sqrt(count / most)))}` : undefined;
  };
  const land = (code: string) => ({
    class: shade(code),
    onPointerEnter: () => setOver(code),
    onPointerLeave: () => setOver(null),
    ...(visitors.has(code) ? { onClick: () => onChoose(code) } : {}),
  });
  const [first] = rows;
  const told = over ?? first?.dimensions[0] ?? "";
  return (
    <figure class="map">
      <svg
        viewBox={`0 0 ${world.width} ${world.height}`}
        role="img"
        aria-label={`World map of visitors. Most are from ${countryName(first?.dimensions[0] ?? "")}.`}
      >
        {Object.entries(world.paths).map(([code, path]) => (
          <path key={code} d={path} {...land(code)} />
        ))}
        {Object.entries(world.points).map(
          ([code, [x, y]]) => visitors.has(code) && <circle key={code} cx={x} cy={y} r="9" {...land(code)} />,
        )}
      </svg>
      <figcaption>
        <span>{countryName(told)}</span> <strong>{formatCount(visitors.get(told) ?? 0)}</strong> <span class="soft">visitors</span>
      </figcaption>
    </figure>
  );
}
