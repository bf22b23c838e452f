import { address, get } from "../api/client";
import type { LedgerMinute } from "../api/types";
import { useFound } from "../api/use-query";
import { BarChart } from "../chart/bar-chart";
import { formatCount, formatLatency, formatMinute } from "../format";
import { Icon } from "../ui/icon";
import { Notice } from "../ui/notice";
import { useBeat } from "../ui/use-beat";
import { everyMinute, sumOf, totals, type Totals } from "./balance";
import { ReceiptForm } from "./receipt";

const RENEW_MS = 2000;
const MINUTES = 60;
const LISTED = 15;

/** The ledger: what was accepted against what became of it, minute by minute, and how long it took. */
export function Proof({ zone }: { zone: string }) {
  const renewed = useBeat(RENEW_MS);
  const { data, failure } = useFound("ledger", renewed, (signal) =>
    get<{ minutes: LedgerMinute[] }>(address("/api/ledger", { minutes: String(MINUTES) }), signal),
  );
  if (failure && !data) return <Notice failure={failure} />;
  const minutes = everyMinute(data?.minutes ?? [], MINUTES, Date.now());
  const sums = totals(minutes);
  const clock = (minute: LedgerMinute) => formatMinute(minute.minute, zone);
  const newest = minutes.findLast((minute) => minute.latency_ms.p50 !== null)?.latency_ms;
  return (
    <>
      <h2 class="page-title">Proof</h2>
      <p class="soft page-lead">
        An event that was answered with success is stored, and counted once. This is the account of the last {MINUTES} minutes, kept in log records and renewed every two seconds.
      </p>
      {failure && <Notice failure={failure} />}
      <section class="card ledger" aria-labelledby="ledger-title">
        <header>
          <h2 id="ledger-title">Ledger</h2>
          {data && <Verdict sums={sums} />}
        </header>
        <Equation sums={sums} known={data !== null} />
        {data && (
          <BarChart
            summary="Events accepted by minute, and what became of them."
            labels={minutes.map(clock)}
            stacked
            height={200}
            layers={[
              { name: "counted", values: minutes.map((minute) => minute.counted) },
              { name: "duplicate", values: minutes.map((minute) => minute.duplicate) },
              { name: "rejected", values: minutes.map((minute) => sumOf(minute.rejected)) },
              { name: "in-flight", values: minutes.map((minute) => Math.max(0, minute.in_flight)) },
            ]}
            format={(value) => formatCount(value)}
            tooltip={(index) => minutes[index] && <MinuteTip minute={minutes[index]} when={clock(minutes[index])} />}
          />
        )}
      </section>
      <div class="panels">
        <section class="card ledger" aria-labelledby="latency-title">
          <header>
            <h2 id="latency-title">From answer to number</h2>
          </header>
          <p class="soft lead">How long after its acknowledgement an event can be seen in the numbers.</p>
          <dl class="latencies">
            {(["p50", "p95", "p99"] as const).map((name) => (
              <div key={name}>
                <dt>
                  <span class={`key ${name}`} aria-hidden="true" /> {name}
                </dt>
                <dd>{formatLatency(newest?.[name])}</dd>
              </div>
            ))}
          </dl>
          {data && (
            <BarChart
              summary="Latency by minute: p50, p95 and p99."
              labels={minutes.map(clock)}
              stacked={false}
              height={170}
              layers={(["p99", "p95", "p50"] as const).map((name) => ({ name, values: minutes.map((minute) => minute.latency_ms[name] ?? 0) }))}
              format={(value) => formatLatency(value)}
              tooltip={(index) => {
                const minute = minutes[index];
                return (
                  minute && (
                    <>
                      <span class="when">{clock(minute)}</span>
                      {(["p50", "p95", "p99"] as const).map((name) => (
                        <span key={name}>
                          {name} <strong>{formatLatency(minute.latency_ms[name])}</strong>
                        </span>
                      ))}
                    </>
                  )
                );
              }}
            />
          )}
        </section>
        <ReceiptForm zone={zone} />
      </div>
      {data && <Minutes minutes={minutes.slice(-LISTED).reverse()} clock={clock} />}
    </>
  );
}

function Verdict({ sums }: { sums: Totals }) {
  const off = sums.accepted - sums.counted - sums.duplicate - sums.rejected - sums.inFlight;
  if (off !== 0) return <span class="verdict worse">Off by {formatCount(off)}: run “portfolio-analytics verify”</span>;
  return (
    <span class="verdict better">
      <Icon name="check" /> Balances{sums.unattested > 0 ? `, ${formatCount(sums.unattested)} not attested yet` : ""}
    </span>
  );
}

function Equation({ sums, known }: { sums: Totals; known: boolean }) {
  const terms: [string, number, string, string][] = [
    ["Accepted", sums.accepted, "accepted", ""],
    ["Counted", sums.counted, "counted", "="],
    ["Duplicate", sums.duplicate, "duplicate", "+"],
    ["Rejected", sums.rejected, "rejected", "+"],
    ["In flight", sums.inFlight, "in-flight", "+"],
  ];
  return (
    <dl class="equation">
      {terms.map(([label, value, name, sign]) => (
        <div key={name}>
          <dt>
            <span class={`key ${name}`} aria-hidden="true" /> {label}
          </dt>
          <dd>
            {sign && <span class="sign">{sign}</span>}
            <strong data-term={name}>{known ? formatCount(value) : "–"}</strong>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function MinuteTip({ minute, when }: { minute: LedgerMinute; when: string }) {
  return (
    <>
      <span class="when">{when}</span>
      <span>
        <strong>{formatCount(minute.accepted)}</strong> accepted
      </span>
      <span>
        = {formatCount(minute.counted)} + {formatCount(minute.duplicate)} + {formatCount(sumOf(minute.rejected))} + {formatCount(minute.in_flight)}
      </span>
    </>
  );
}

function Minutes({ minutes, clock }: { minutes: LedgerMinute[]; clock: (minute: LedgerMinute) => string }) {
  const reasons = (counts: Record<string, number>) =>
    Object.entries(counts)
      .map(([reason, count]) => `${reason} ${formatCount(count)}`)
      .join(", ") || "0";
  return (
    <section class="card ledger-table" aria-labelledby="minutes-title">
      <header>
        <h2 id="minutes-title">Minute by minute</h2>
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="The newest minutes">
        <table>
          <thead>
            <tr>
              {["Minute", "Accepted", "Counted", "Duplicate", "Rejected", "In flight", "Refused", "Ignored", "p50", "p95", "p99"].map((name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {minutes.map((minute) => (
              <tr key={minute.minute}>
                <th scope="row">{clock(minute)}</th>
                <td>{formatCount(minute.accepted)}</td>
                <td>{formatCount(minute.counted)}</td>
                <td>{formatCount(minute.duplicate)}</td>
                <td>{reasons(minute.rejected)}</td>
                <td>{formatCount(minute.in_flight)}</td>
                <td>{reasons(minute.refused)}</td>
                <td>{reasons(minute.ignored)}</td>
                <td>{formatLatency(minute.latency_ms.p50)}</td>
                <td>{formatLatency(minute.latency_ms.p95)}</td>
                <td>{formatLatency(minute.latency_ms.p99)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
