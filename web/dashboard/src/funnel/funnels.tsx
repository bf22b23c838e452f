import { useContext, useState } from "preact/hooks";
import { AdminContext } from "../admin";
import { address, call } from "../api/client";
import { about, type Scope } from "../api/query";
import type { Funnel, FunnelAnswer } from "../api/types";
import { RefreshContext, useFound } from "../api/use-query";
import { download, fileName, toCsv } from "../csv";
import { Icon } from "../ui/icon";
import { Notice } from "../ui/notice";
import { Skeleton } from "../ui/skeleton";
import { FunnelEditor } from "./editor";
import { stepLabel } from "./step";
import { useFunnels } from "./use-funnels";
import { Way, type By } from "./way";

interface Props {
  scope: Scope;
  name: string;
  by: By;
  onChoose: (chosen: { funnel: string } | { by: By }) => void;
}

const BY: [By, string][] = [
  ["visitor", "Visitors"],
  ["visit", "Visits"],
];

/** Chooses one of the site's funnels and shows it; who may, makes and changes them here too. */
export function Funnels({ scope, name, by, onChoose }: Props) {
  const admin = useContext(AdminContext);
  const [changed, setChanged] = useState(0);
  const [edited, setEdited] = useState<Funnel | "new" | null>(null);
  const { data, failure, retry } = useFunnels(scope.site, changed);
  if (failure && !data) return <Notice failure={failure} onRetry={retry} part />;
  const funnels = data?.funnels ?? [];
  const chosen = funnels.find((each) => each.name === name) ?? funnels[0];
  return (
    <>
      {chosen && (
        <div class="way-tools">
          <select class="field" aria-label="Funnel" value={chosen.name} onChange={(event) => onChoose({ funnel: event.currentTarget.value })}>
            {funnels.map((each) => (
              <option key={each.name}>{each.name}</option>
            ))}
          </select>
          {admin && (
            <>
              <button type="button" class="button" onClick={() => setEdited(chosen)}>
                Edit
              </button>
              <button type="button" class="button bare" aria-label="Make another funnel" title="Make another funnel" onClick={() => setEdited("new")}>
                <Icon name="plus" />
              </button>
            </>
          )}
          <div class="segments" role="group" aria-label="Whose way">
            {BY.map(([each, label]) => (
              <button key={each} type="button" aria-pressed={each === by} onClick={() => onChoose({ by: each })}>
                {label}
              </button>
            ))}
          </div>
        </div>
      )}
      {!data ? <Skeleton /> : chosen ? <Chosen funnel={chosen} scope={scope} by={by} /> : <Invitation onAccept={admin ? () => setEdited("new") : null} />}
      {edited && (
        <FunnelEditor
          site={scope.site}
          funnel={edited === "new" ? null : edited}
          onClose={() => setEdited(null)}
          onSaved={(saved) => {
            setEdited(null);
            setChanged(changed + 1);
            onChoose({ funnel: saved });
          }}
        />
      )}
    </>
  );
}

function Chosen({ funnel, scope, by }: { funnel: Funnel; scope: Scope; by: By }) {
  // By its steps: so a funnel that was changed is asked about anew.
  const question = { ...about(scope), steps: funnel.steps, by };
  const load = (signal: AbortSignal) => call<FunnelAnswer>("POST", address("/api/v2/funnel"), question, signal);
  const { data, failure, stale, retry } = useFound(JSON.stringify(question), useContext(RefreshContext), load);
  if (failure && !data) return <Notice failure={failure} onRetry={retry} part />;
  const note = data?.meta.metric_warnings?.reached?.warning;
  const save = () =>
    download(
      fileName(scope.site, "funnel", funnel.name),
      toCsv([
        ["step", `${by}s`, "share", "drop_off", "median_seconds"],
        ...(data?.results ?? []).map((row) => [stepLabel(row.step), row.reached, row.share, row.drop_off, row.median_seconds]),
      ]),
    );
  return (
    <>
      <div class="panel-rows" aria-busy={stale || !data}>
        {data ? <Way answer={data} /> : <Skeleton />}
      </div>
      <footer>
        <span class="way-note">{note}</span>
        <button type="button" class="button bare" disabled={!data} aria-label="Save the funnel as CSV" title="Save as CSV" onClick={save}>
          <Icon name="download" />
        </button>
      </footer>
    </>
  );
}

/** What stands where funnels will be. */
function Invitation({ onAccept }: { onAccept: (() => void) | null }) {
  return (
    <div class="nothing way-invitation">
      <span class="way-drawing" aria-hidden="true">
        {[1, 0.72, 0.4, 0.22].map((height) => (
          <span key={height} style={{ height: `${height * 100}%` }} />
        ))}
      </span>
      <p>
        <strong>Where do people turn back?</strong>
        <br />A funnel follows visitors from step to step, from a first page to a sign-up, say, and shows how many go on.
      </p>
      {onAccept ? (
        <button type="button" class="button primary" onClick={onAccept}>
          Make a funnel
        </button>
      ) : (
        <p>Whoever administers this site can make one.</p>
      )}
    </div>
  );
}
