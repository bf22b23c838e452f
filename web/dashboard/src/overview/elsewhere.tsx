import { about } from "../api/query";
import { useQuery } from "../api/use-query";
import { monthSpan, spanLabel } from "../period";
import { useNavigation } from "../view";

/** Where the numbers of a site are that has none in the period: somebody who imported an old log wants to see it. */
export function Elsewhere({ site }: { site: string }) {
  const { go } = useNavigation();
  const { data } = useQuery({
    ...about({ site, range: "all", filters: [] }),
    metrics: ["events"],
    dimensions: ["time:month"],
    order_by: [["time:month", "asc"]],
  });
  const first = data?.results[0]?.dimensions[0];
  const last = data?.results.at(-1)?.dimensions[0];
  if (!first || !last) return null;
  const span = monthSpan(first, last);
  return (
    <p class="elsewhere" role="status">
      Nothing in this period. This site's numbers are from {spanLabel(span)}.
      <button type="button" class="button" onClick={() => go({ period: { name: "custom", ...span }, interval: null })}>
        Show them
      </button>
    </p>
  );
}
