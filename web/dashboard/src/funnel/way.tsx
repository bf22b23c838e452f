import type { FunnelAnswer } from "../api/types";
import { formatCount, formatDuration, formatMetric } from "../format";
import { stepLabel } from "./step";

export type By = FunnelAnswer["query"]["by"];

const percent = (value: number | null | undefined) => formatMetric("percentage", value);

/** How many went from step to step: side by side where there is room, one below the other on a phone. */
export function Way({ answer }: { answer: FunnelAnswer }) {
  const { results, total, entry_rate, query } = answer;
  const who = (count: number) => (count === 1 ? query.by : `${query.by}s`);
  const entered = results[0]?.reached ?? 0;
  const last = results[results.length - 1];
  return (
    <>
      <p class="way-sum">
        {entered === 0 ? (
          <>Nobody entered: none of {formatCount(total)} {who(total)} did the first step.</>
        ) : (
          <>
            <strong>{percent(last?.share)}</strong> went all the way: {formatCount(last?.reached ?? 0)} of the {formatCount(entered)} {who(entered)} that entered.
          </>
        )}
      </p>
      <ol class="way">
        {results.map(({ step, reached, share, drop_off, median_seconds }, index) => {
          const next = results[index + 1]?.share;
          return (
            <li key={index} style={{ "--share": (share ?? 0) / 100, "--next": (next ?? 0) / 100 }}>
              <div class="way-shape" aria-hidden="true">
                {reached > 0 && <span class="way-bar" />}
                {next !== undefined && <span class="way-flow" />}
              </div>
              <div class="way-text">
                <span class="way-name" title={stepLabel(step)}>
                  {stepLabel(step)}
                </span>
                <span>
                  <strong>{formatCount(reached)}</strong> <span class="soft">{index === 0 ? who(reached) : percent(share)}</span>
                </span>
                {index === 0 && <span class="soft">{percent(entry_rate)} of all</span>}
                {drop_off !== null && <span class={drop_off > 0 ? "worse" : "soft"}>{percent(drop_off)} dropped off</span>}
                {median_seconds !== null && <span class="soft">after {formatDuration(median_seconds)}</span>}
              </div>
            </li>
          );
        })}
      </ol>
    </>
  );
}
