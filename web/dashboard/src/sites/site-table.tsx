import type { SiteFigures } from "../api/types";
import { Sparkline } from "../chart/sparkline";
import { formatCount, formatMetric } from "../format";
import { METRIC_LABELS } from "../metric";
import { Change } from "../overview/change";
import { ViewLink } from "../ui/view-link";
import { useNavigation, type SiteOrder } from "../view";

const METRICS = ["visitors", "visits", "pageviews"] as const;

interface Props {
  sites: SiteFigures[];
  /** Whether the change against the period before is shown. */
  compared: boolean;
  /** Whether visitors are a sum that a footnote explains. */
  warned: boolean;
  now: number;
}

/** Sites with their figures; a click on one opens it, one on a column's name sorts by it. */
export function SiteTable({ sites, compared, warned, now }: Props) {
  return (
    <table class={compared ? "compared" : ""}>
      <thead>
        <tr>
          <Column name="name" label="Site" />
          <th scope="col" class="course">
            Visitors over time
          </th>
          {METRICS.map((metric) => (
            <Column key={metric} name={metric} label={METRIC_LABELS[metric] + (warned && metric === "visitors" ? " *" : "")} />
          ))}
        </tr>
      </thead>
      <tbody>
        {sites.map((site) => (
          <tr key={site.site}>
            <th scope="row">
              <span class={`dot ${site.visitors_now > 0 ? "lit" : ""}`} aria-hidden="true" />
              <ViewLink change={{ page: "overview", site: site.site, filters: [], details: null }}>{site.site}</ViewLink>
              {site.visitors_now > 0 && <span class="soft present">{formatCount(site.visitors_now)} now</span>}
            </th>
            <td class="course">
              <Sparkline values={site.series} passed={passed(site, now)} />
            </td>
            {METRICS.map((metric) => (
              <td key={metric} class={metric}>
                <strong>{formatMetric(metric, site.metrics[metric], true)}</strong>
                {compared && metric === "visitors" && <Change metric={metric} value={site.comparison.change[metric]} before={site.comparison.metrics[metric]} />}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Column({ name, label }: { name: "name" | (typeof METRICS)[number]; label: string }) {
  const { view, go } = useNavigation();
  // Names begin with the first letter, numbers with the largest.
  const [usual, other]: [SiteOrder, SiteOrder] = name === "name" ? ["name", "-name"] : [`-${name}`, name];
  const sorted = [usual, other].includes(view.order);
  const descending = view.order === `-${name}`;
  return (
    <th scope="col" class={name} aria-sort={sorted ? (descending ? "descending" : "ascending") : undefined}>
      <button type="button" onClick={() => go({ order: view.order === usual ? other : usual, offset: 0 })}>
        {label}
        <span aria-hidden="true">{sorted ? (descending ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
}

/** How much of a site's period has passed: 1 is all of it. */
function passed({ date_range: [first, last] }: SiteFigures, now: number): number {
  const start = Date.parse(first);
  return (now - start) / (Date.parse(last) - start);
}
