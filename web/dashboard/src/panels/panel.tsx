import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { about, type Scope } from "../api/query";
import { useQuery } from "../api/use-query";
import { download, fileName, toCsv } from "../csv";
import { dimensionLabel, PROPERTY, valueLabel } from "../dimension";
import { withValue } from "../filter";
import type { Metric } from "../metric";
import { Funnels } from "../funnel/funnels";
import { beside } from "../overview/figures";
import { Icon } from "../ui/icon";
import { Notice } from "../ui/notice";
import { Skeleton } from "../ui/skeleton";
import { Tabs } from "../ui/tabs";
import { useNavigation } from "../view";
import { CAMPAIGN_TABS, drilled, NEXT_TAB, type PanelKind, type Tab } from "./catalogue";
import { Details } from "./details";
import { Properties } from "./properties";
import { Rows } from "./rows";
import { WorldMap } from "./world-map";

const SHOWN = 9;

interface Props {
  kind: PanelKind;
  scope: Scope;
  class?: string;
}

/** A breakdown with tabs, the first rows of which are shown; the rest is in the details. */
export function Panel({ kind, scope, class: name = "" }: Props) {
  const { view, go } = useNavigation();
  const id = useId();
  const chosen = kind.tabs.find((tab) => tab.id === view.tabs[kind.id]) ?? (kind.tabs[0] as Tab);
  const tab = drilled(chosen.id === "campaigns" ? campaignTab(view.tabs["utm"]) : chosen, scope.filters);
  const choose = (tabs: Record<string, string>) => go({ tabs: { ...view.tabs, ...tabs } }, true);
  const filter = (dimension: string, value: string) => {
    const next = NEXT_TAB[dimension];
    go({
      filters: withValue(view.filters, dimension, value),
      tabs: next ? { ...view.tabs, [kind.id]: next } : view.tabs,
      details: null,
    });
  };
  return (
    <section class={`card panel ${name}`} aria-labelledby={`${id}-title`}>
      <header>
        <h2 id={`${id}-title`}>{kind.title}</h2>
        <Tabs label={kind.title} tabs={kind.tabs} chosen={chosen.id} panel={`${id}-panel`} onChoose={(tabId) => choose({ [kind.id]: tabId })} />
      </header>
      <div class="panel-body" role="tabpanel" id={`${id}-panel`} aria-label={`${kind.title}: ${chosen.label}`}>
        {chosen.id === "campaigns" && (
          <div class="segments small" role="group" aria-label="Campaigns by">
            {CAMPAIGN_TABS.map((each) => (
              <button key={each.id} type="button" aria-pressed={each.dimension === tab.dimension} onClick={() => choose({ utm: each.id })}>
                {each.label}
              </button>
            ))}
          </div>
        )}
        {chosen.id === "properties" ? (
          <Properties scope={scope} property={view.tabs["property"] ?? ""} onProperty={(property) => choose({ property })}>
            {(property) => <Body key={property} panel={kind} tab={{ ...tab, dimension: PROPERTY + property }} scope={scope} onChoose={filter} />}
          </Properties>
        ) : chosen.id === "funnels" ? (
          <Funnels scope={scope} name={view.tabs["funnel"] ?? ""} by={view.tabs["by"] === "visit" ? "visit" : "visitor"} onChoose={choose} />
        ) : (
          <Body key={`${chosen.id} ${tab.dimension}`} panel={kind} tab={tab} scope={scope} onChoose={filter} />
        )}
      </div>
    </section>
  );
}

const campaignTab = (id: string | undefined): Tab => CAMPAIGN_TABS.find((tab) => tab.id === id) ?? (CAMPAIGN_TABS[0] as Tab);

interface BodyProps {
  panel: PanelKind;
  tab: Tab;
  scope: Scope;
  onChoose: (dimension: string, value: string) => void;
}

function Body({ panel, tab, scope, onChoose }: BodyProps) {
  const choose = (value: string) => onChoose(tab.dimension, value);
  const { view, go } = useNavigation();
  const isMap = tab.id === "map";
  const metrics = panelMetrics(tab, scope);
  const { data, failure, stale, retry } = useQuery({
    ...about(scope),
    metrics,
    dimensions: [tab.dimension],
    pagination: { limit: isMap ? 300 : SHOWN },
  });
  const property = tab.dimension.slice(PROPERTY.length);
  if (failure && !data) return <Notice failure={failure} onRetry={retry} part />;
  const rows = data?.results ?? [];
  const save = () =>
    download(
      fileName(scope.site, panel.id, tab.id, property),
      toCsv([
        [dimensionLabel(tab.dimension), ...metrics],
        ...rows.map((row) => [valueLabel(tab.dimension, row.dimensions[0] ?? ""), ...row.metrics]),
      ]),
    );
  let shown: ComponentChildren;
  if (!data) shown = <Skeleton />;
  else if (rows.length === 0) shown = <p class="nothing">{emptyText(tab)}</p>;
  else if (isMap) shown = <WorldMap rows={rows} onChoose={choose} />;
  else shown = <Rows dimension={tab.dimension} metrics={metrics} rows={rows} onChoose={choose} />;
  return (
    <>
      <div class="panel-rows" aria-busy={stale || !data}>
        {shown}
      </div>
      <footer>
        <button type="button" class="button bare" disabled={rows.length === 0} onClick={() => go({ details: panel.id })}>
          <Icon name="expand" /> Details
        </button>
        <button type="button" class="button bare" disabled={rows.length === 0} aria-label={`Save ${panel.title} as CSV`} title="Save as CSV" onClick={save}>
          <Icon name="download" />
        </button>
      </footer>
      {view.details === panel.id && (
        <Details title={`${panel.title} · ${tab.label}`} tab={tab} scope={scope} onChoose={choose} onClose={() => go({ details: null })} />
      )}
    </>
  );
}

function panelMetrics(tab: Tab, scope: Scope): Metric[] {
  if (tab.dimension === "event:goal") return ["visitors", "events", "conversion_rate"];
  if (tab.dimension.startsWith("event:") && tab.dimension !== "event:page") return ["visitors", "events"];
  return ["visitors", beside(scope.filters)];
}

function emptyText(tab: Tab): string {
  if (tab.dimension === "event:goal") return "No goal was reached. Goals are made in the settings.";
  if (tab.dimension.startsWith(PROPERTY)) return "No event has this property here.";
  if (tab.id === "campaigns" || tab.dimension.startsWith("visit:utm")) return "No visit came with this UTM parameter.";
  if (tab.dimension === "visit:region" || tab.dimension === "visit:city") {
    return "Not known. Regions and cities need a GEOIP_DB file on the server.";
  }
  return "Nothing in this period.";
}
