import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { labelStep, ticks, type Unit } from "./scale";
import { useWidth } from "./use-width";

export interface Frame {
  /** Pixels of a point's place, of a value, and of the space that one point has. */
  x: (index: number) => number;
  y: (value: number) => number;
  band: number;
  /** The point that is looked at. */
  at: number | null;
}

interface Props {
  /** What a screen reader says of it. */
  summary: string;
  labels: string[];
  /** The greatest value. */
  most: number;
  height: number;
  /** Bars stand beside each other; lines go from edge to edge. */
  bars?: boolean;
  unit?: Unit;
  format: (value: number) => string;
  tooltip: (index: number) => ComponentChildren;
  /** Where the arrow keys begin. */
  last?: number;
  /** Called with the point that was clicked, or chosen with Enter. */
  onChoose?: ((index: number) => void) | undefined;
  children: (frame: Frame) => ComponentChildren;
}

const TOP = 12;
const BOTTOM = 26;
const RIGHT = 10;
const LABEL_WIDTH = 76;
const DIGIT_WIDTH = 7;

/** Axes, and a cursor that the pointer or the arrow keys move from point to point. */
export function Plot(props: Props) {
  const { summary, labels, height, bars = false, format, tooltip, onChoose } = props;
  const [box, width] = useWidth<HTMLDivElement>();
  const [cursor, setCursor] = useState<number | null>(null);
  const count = labels.length;
  const marks = ticks(Math.max(1, props.most), 4, props.unit ?? "whole");
  const top = marks.at(-1) ?? 1;
  const left = Math.max(...marks.map((mark) => format(mark).length)) * DIGIT_WIDTH + 12;
  const plot = Math.max(0, width - left - RIGHT);
  const band = bars ? plot / Math.max(1, count) : plot / Math.max(1, count - 1);
  const x = (index: number) => left + (bars ? band * (index + 0.5) : count > 1 ? band * index : plot / 2);
  const y = (value: number) => TOP + (height - TOP - BOTTOM) * (1 - value / top);
  const inside = (index: number) => Math.min(count - 1, Math.max(0, index));
  const at = cursor === null || count === 0 ? null : inside(cursor);
  const every = labelStep(count, plot, LABEL_WIDTH);

  const look = (event: PointerEvent) => {
    const place = (event.clientX - (event.currentTarget as Element).getBoundingClientRect().left - left) / Math.max(1, band);
    setCursor(inside(bars ? Math.floor(place) : Math.round(place)));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setCursor(inside(at === null ? (props.last ?? count - 1) : at + step));
    } else if (event.key === "Enter" && at !== null) onChoose?.(at);
    else if (event.key === "Escape" && at !== null) {
      event.preventDefault();
      setCursor(null);
    }
  };
  const anchor = (index: number) => (x(index) > width - 36 ? "end" : "middle");
  const side = at === null ? {} : x(at) > width / 2 ? { right: `${width - x(at) + 12}px`, left: "auto" } : { left: `${x(at) + 12}px`, right: "auto" };

  return (
    <div
      class="chart"
      ref={box}
      style={{ height: `${height}px` }}
      tabIndex={0}
      role="group"
      aria-label={`${summary} Arrow keys move from point to point.`}
      onKeyDown={onKeyDown}
      onBlur={() => setCursor(null)}
    >
      {width > 0 && (
        <svg
          width={width}
          height={height}
          role="img"
          aria-label={summary}
          class={onChoose ? "choosable" : ""}
          onPointerMove={look}
          onPointerDown={look}
          onPointerLeave={() => setCursor(null)}
          onClick={() => at !== null && onChoose?.(at)}
        >
          {marks.map((mark) => (
            <g key={mark}>
              <line class="grid" x1={left} x2={width - RIGHT} y1={y(mark)} y2={y(mark)} />
              <text x={left - 8} y={y(mark) + 4} text-anchor="end">
                {format(mark)}
              </text>
            </g>
          ))}
          {labels.map(
            (label, index) =>
              index % every === 0 && (
                <text key={index} x={x(index)} y={height - 6} text-anchor={anchor(index)}>
                  {label}
                </text>
              ),
          )}
          {props.children({ x, y, band, at })}
        </svg>
      )}
      <div class="tooltip" role="status" hidden={at === null} style={side}>
        {at !== null && tooltip(at)}
      </div>
    </div>
  );
}
