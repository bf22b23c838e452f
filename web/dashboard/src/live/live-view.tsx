import type { Scope } from "../api/query";
import { Filters } from "../bar/filters";
import { BarChart } from "../chart/bar-chart";
import { eventLabel } from "../dimension";
import { countryName, formatClock, formatCount, formatLatency, formatMinute } from "../format";
import { DEVICES, LOCATIONS, PAGES, SOURCES } from "../panels/catalogue";
import { Panel } from "../panels/panel";
import { useNavigation } from "../view";
import type { Live, LiveEvent } from "./use-live";

const MINUTE = 60_000;
const SPAN = 30 * MINUTE;
const SHOWN = 10;

interface Props {
  site: string;
  zone: string;
  live: Live;
  now: number;
}

/** The last half hour, as it goes on. */
export function LiveView({ site, zone, live, now }: Props) {
  const { view } = useNavigation();
  const end = Math.ceil(now / MINUTE + 1) * MINUTE;
  const scope: Scope = {
    site,
    range: [new Date(end - SPAN).toISOString(), new Date(end).toISOString()],
    filters: view.filters,
  };
  const pageviews = live.minutes.reduce((sum, minute) => sum + minute.pageviews, 0);
  return (
    <>
      <div class="live">
        <section class="card ledger" aria-labelledby="live-title">
          <header>
            <h2 id="live-title">Right now</h2>
            <span class={`verdict soft ${live.connected ? "connected" : ""}`} role="status">
              <span class="dot" aria-hidden="true" /> {live.connected ? "Live" : "Connecting…"}
            </span>
          </header>
          <dl class="live-figures">
            <div>
              <dt>Visitors, last 5 minutes</dt>
              <dd data-figure="visitors">{live.visitors === null ? "–" : formatCount(live.visitors)}</dd>
            </div>
            <div>
              <dt>Page views, last 30 minutes</dt>
              <dd data-figure="pageviews">{formatCount(pageviews)}</dd>
            </div>
            <div>
              <dt>From answer to number, p50 · p95 · p99</dt>
              <dd class="small">
                {formatLatency(live.latency.p50)} · {formatLatency(live.latency.p95)} · {formatLatency(live.latency.p99)}
              </dd>
            </div>
          </dl>
          <p class="soft">Visitors by minute</p>
          <BarChart
            summary="Visitors by minute in the last 30 minutes."
            labels={live.minutes.map(({ minute }) => formatMinute(minute, zone))}
            stacked={false}
            height={290}
            layers={[{ name: "visitors", values: live.minutes.map(({ visitors }) => visitors) }]}
            format={formatCount}
            tooltip={(index) => {
              const minute = live.minutes[index];
              return (
                minute && (
                  <>
                    <span class="when">{formatMinute(minute.minute, zone)}</span>
                    <span>
                      <strong>{formatCount(minute.visitors)}</strong> visitors
                    </span>
                    <span>{formatCount(minute.pageviews)} page views</span>
                  </>
                )
              );
            }}
          />
        </section>
        <section class="card ledger" aria-labelledby="feed-title">
          <header>
            <h2 id="feed-title">Latest events</h2>
          </header>
          {live.events.length === 0 ? (
            <p class="nothing">Nothing in the last half hour. Events appear here as they arrive.</p>
          ) : (
            <ol class="feed">
              {live.events.slice(0, SHOWN).map((event) => (
                <FeedEvent key={event.id} event={event} zone={zone} />
              ))}
            </ol>
          )}
        </section>
      </div>
      <div class="tools">
        <h2>The last 30 minutes</h2>
        <Filters scope={scope} />
      </div>
      <div class="panels">
        <Panel kind={PAGES} scope={scope} />
        <Panel kind={SOURCES} scope={scope} />
        <Panel kind={LOCATIONS} scope={scope} />
        <Panel kind={DEVICES} scope={scope} />
      </div>
    </>
  );
}

function FeedEvent({ event, zone }: { event: LiveEvent; zone: string }) {
  const about = [event.source && `from ${event.source}`, event.country && countryName(event.country), event.browser, event.device].filter(Boolean).join(" · ");
  return (
    <li>
      <time class="soft" dateTime={new Date(event.time).toISOString()}>
        {formatClock(event.time, zone)}
      </time>
      <strong>{eventLabel(event.type)}</strong>
      <span class="feed-page">{event.page}</span>
      <span class="soft">{about}</span>
    </li>
  );
}
