import { useEffect, useState } from "preact/hooks";
import { about, type Scope } from "../api/query";
import { useQuery } from "../api/use-query";
import { download, fileName, toCsv } from "../csv";
import { dimensionLabel, PROPERTY, valueLabel } from "../dimension";
import { toApi } from "../filter";
import type { Metric } from "../metric";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { Notice } from "../ui/notice";
import type { Tab } from "./catalogue";
import { Rows } from "./rows";

const PAGE = 100;
const MOST = 10_000;

interface Props {
  title: string;
  tab: Tab;
  scope: Scope;
  onChoose: (value: string) => void;
  onClose: () => void;
}

/** All rows of a breakdown: searched, sorted, more on demand, saved as CSV. */
export function Details({ title, tab, scope, onChoose, onClose }: Props) {
  const [search, setSearch] = useState("");
  const [wanted, setWanted] = useState("");
  const [limit, setLimit] = useState(PAGE);
  const [sort, setSort] = useState<{ metric: Metric; descending: boolean }>({ metric: "visitors", descending: true });
  useEffect(() => {
    // Nothing new to look for: rows that were asked for in the meantime stay.
    if (search.trim() === wanted) return;
    const timer = setTimeout(() => {
      setWanted(search.trim());
      setLimit(PAGE);
    }, 250);
    return () => clearTimeout(timer);
  }, [search, wanted]);

  const { dimension } = tab;
  // Countries are searched by their names, which the server does not know; there are few of them.
  const byName = dimension === "visit:country";
  const metrics: Metric[] = ["visitors", ...tab.more];
  const { data, failure, stale, retry } = useQuery({
    ...about(scope),
    filters: [
      ...scope.filters.map(toApi),
      ...(wanted && !byName ? [toApi({ operator: "contains", dimension, values: [wanted] })] : []),
    ],
    metrics,
    dimensions: [dimension],
    order_by: [[sort.metric, sort.descending ? "desc" : "asc"]],
    include: { total_rows: true },
    pagination: { limit: byName ? MOST : limit },
  });
  const all = data?.results ?? [];
  const matching = wanted && byName
    ? all.filter((row) => valueLabel(dimension, row.dimensions[0] ?? "").toLowerCase().includes(wanted.toLowerCase()))
    : all;
  const total = data?.meta.total_rows ?? 0;
  const save = () =>
    download(
      fileName(scope.site, tab.id, dimension.slice(dimension.startsWith(PROPERTY) ? PROPERTY.length : 6)),
      toCsv([
        [dimensionLabel(dimension), ...metrics],
        ...matching.map((row) => [valueLabel(dimension, row.dimensions[0] ?? ""), ...row.metrics]),
      ]),
    );
  return (
    <Dialog title={title} class="wide" onClose={onClose}>
      <div class="details-tools">
        <input
          class="field"
          type="search"
          autofocus
          placeholder="Search"
          aria-label={`Search ${dimensionLabel(dimension)}`}
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
        <button type="button" class="button" disabled={matching.length === 0} onClick={save}>
          <Icon name="download" /> CSV
        </button>
      </div>
      {failure ? (
        <Notice failure={failure} onRetry={retry} />
      ) : (
        <div class="details-rows" aria-busy={stale || !data} tabIndex={0} role="region" aria-label={title}>
          {data && matching.length === 0 && <p class="nothing">Nothing matches.</p>}
          {matching.length > 0 && (
            <Rows
              dimension={dimension}
              metrics={metrics}
              rows={matching}
              onChoose={onChoose}
              sort={{
                ...sort,
                onSort: (metric) => setSort({ metric, descending: sort.metric === metric ? !sort.descending : true }),
              }}
            />
          )}
          {!byName && total > all.length && (
            <button type="button" class="button more" onClick={() => setLimit(Math.min(MOST, limit + PAGE))}>
              Show more ({all.length} of {total})
            </button>
          )}
        </div>
      )}
    </Dialog>
  );
}
