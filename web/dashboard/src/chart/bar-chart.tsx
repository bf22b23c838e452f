import type { ComponentChildren } from "preact";
import { Plot } from "./plot";

export interface Layer {
  /** The class that colours it. */
  name: string;
  values: number[];
}

interface Props {
  summary: string;
  labels: string[];
  /** From the bottom up; or, when not stacked, from the back to the front. */
  layers: Layer[];
  stacked: boolean;
  height: number;
  format: (value: number) => string;
  tooltip: (index: number) => ComponentChildren;
}

/** Bars over time, in layers that stand on each other or before each other. */
export function BarChart({ layers, stacked, ...props }: Props) {
  const sums = props.labels.map((_, index) => {
    const values = layers.map((layer) => layer.values[index] ?? 0);
    return stacked ? values.reduce((sum, value) => sum + value, 0) : Math.max(0, ...values);
  });
  return (
    <Plot {...props} bars most={Math.max(0, ...sums)}>
      {({ x, y, band, at }) =>
        props.labels.map((_, index) => {
          let floor = 0;
          return (
            <g key={index} class={index === at ? "bars here" : "bars"}>
              {layers.map(({ name, values }) => {
                const value = values[index] ?? 0;
                const base = stacked ? floor : 0;
                floor += value;
                const width = Math.max(1, band - Math.min(3, band / 4));
                return (
                  value > 0 && (
                    <rect key={name} class={name} x={x(index) - width / 2} width={width} y={y(base + value)} height={Math.max(1, y(base) - y(base + value))} rx="1.5" />
                  )
                );
              })}
            </g>
          );
        })
      }
    </Plot>
  );
}
