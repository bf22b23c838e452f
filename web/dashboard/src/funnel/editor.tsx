import { useEffect, useRef, useState } from "preact/hooks";
import { address, call } from "../api/client";
import { about, type Scope } from "../api/query";
import type { Funnel, FunnelAnswer, Step } from "../api/types";
import { usePropertyNames } from "../api/use-property-names";
import { useFound, useQuery } from "../api/use-query";
import { formatCount } from "../format";
import { sitePath } from "../settings/settings";
import { useAct } from "../settings/use-act";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { stepLabel } from "./step";

const FEWEST = 2;
const MOST = 8;
const OFFERED = 100;
const PAUSE_MS = 400;

type Kind = "page_pattern" | "event_type";

/** A step while it is written. `property` null: it asks for none. */
interface Draft {
  id: number;
  kind: Kind;
  target: string;
  property: string | null;
  value: string;
}

let drafts = 0;
const draftOf = (step: Step): Draft => ({
  id: ++drafts,
  kind: step.event_type === undefined ? "page_pattern" : "event_type",
  target: step.event_type ?? step.page_pattern ?? "",
  property: step.property ?? null,
  value: step.value ?? "",
});
const stepOf = ({ kind, target, property, value }: Draft): Step => ({
  [kind]: target.trim(),
  ...(property === null ? {} : { property: property.trim(), value: value.trim() }),
});
const isComplete = ({ target, property, value }: Draft) => target.trim() !== "" && (property === null || (property.trim() !== "" && value.trim() !== ""));

interface Props {
  site: string;
  funnel: Funnel | null;
  onSaved: (name: string) => void;
  onClose: () => void;
}

/** Makes or changes a funnel: its name, and its steps in their order. */
export function FunnelEditor({ site, funnel, onSaved, onClose }: Props) {
  const act = useAct();
  const [name, setName] = useState(funnel?.name ?? "");
  const [steps, setSteps] = useState(() => (funnel?.steps ?? [{}, {}]).map(draftOf));
  const [moved, setMoved] = useState<{ id: number; by: number } | null>(null);
  const list = useRef<HTMLOListElement>(null);
  // What moves loses the focus: it goes on with the same button, or the other one where it cannot go further.
  useEffect(() => {
    if (!moved) return;
    const button = (by: number) => list.current?.querySelector<HTMLElement>(`[data-step="${moved.id}"] .move[value="${by}"]:not(:disabled)`);
    (button(moved.by) ?? button(-moved.by))?.focus();
  }, [moved]);
  const complete = steps.length >= FEWEST && steps.every(isComplete);
  const usual = complete ? `${stepLabel(stepOf(steps[0] as Draft))} → ${stepLabel(stepOf(steps[steps.length - 1] as Draft))}` : "";
  const put = (id: number, change: Partial<Draft>) => setSteps(steps.map((step) => (step.id === id ? { ...step, ...change } : step)));
  const move = (index: number, by: number) => {
    const next = [...steps];
    next.splice(index + by, 0, ...next.splice(index, 1));
    setSteps(next);
    setMoved({ id: (steps[index] as Draft).id, by });
  };
  const save = async (event: Event) => {
    event.preventDefault();
    const wanted = { name: name.trim() || usual, steps: steps.map(stepOf) };
    const worked = await act.run(() =>
      funnel
        ? call("PUT", sitePath(site, `/funnels/${encodeURIComponent(funnel.name)}`), wanted)
        : call("POST", sitePath(site, "/funnels"), wanted),
    );
    if (worked) onSaved(wanted.name);
  };
  return (
    <Dialog title={funnel ? "Change the funnel" : "Make a funnel"} class="funnel-dialog" onClose={onClose}>
      <form class="form" onSubmit={save}>
        <label>
          Name
          <input class="field" maxLength={500} placeholder={usual || "First visit to sign-up"} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <ol class="funnel-steps" ref={list}>
          {steps.map((step, index) => {
            const label = (text: string) => `Step ${index + 1}: ${text}`;
            const mover = (by: -1 | 1, text: string) => (
              <button
                type="button"
                class="button bare move"
                value={by}
                disabled={index + by < 0 || index + by >= steps.length}
                aria-label={label(text)}
                title={text}
                onClick={() => move(index, by)}
              >
                <Icon name={by < 0 ? "up" : "down"} />
              </button>
            );
            return (
              <li key={step.id} data-step={step.id}>
                <select class="field" aria-label={label("reached by")} value={step.kind} onChange={(event) => put(step.id, { kind: event.currentTarget.value as Kind })}>
                  <option value="page_pattern">Page</option>
                  <option value="event_type">Event</option>
                </select>
                <input
                  class="field"
                  required
                  maxLength={500}
                  autocomplete="off"
                  list={step.kind}
                  aria-label={label(step.kind === "page_pattern" ? "page, * for anything" : "event name")}
                  placeholder={step.kind === "page_pattern" ? "/pricing*" : "signup"}
                  value={step.target}
                  onInput={(event) => put(step.id, { target: event.currentTarget.value })}
                />
                <span class="funnel-acts">
                  <button
                    type="button"
                    class="button bare"
                    aria-pressed={step.property !== null}
                    aria-label={label("only with a property")}
                    title="Only with a property"
                    onClick={() => put(step.id, { property: step.property === null ? "" : null })}
                  >
                    <Icon name="filter" />
                  </button>
                  {mover(-1, "move up")}
                  {mover(1, "move down")}
                  <button
                    type="button"
                    class="button bare"
                    disabled={steps.length <= FEWEST}
                    aria-label={label("remove")}
                    title="Remove"
                    onClick={() => setSteps(steps.filter(({ id }) => id !== step.id))}
                  >
                    <Icon name="close" />
                  </button>
                </span>
                {step.property !== null && (
                  <span class="funnel-property">
                    <input
                      class="field"
                      required
                      maxLength={500}
                      autocomplete="off"
                      list="properties"
                      aria-label={label("property")}
                      placeholder="Property, such as plan"
                      value={step.property}
                      onInput={(event) => put(step.id, { property: event.currentTarget.value })}
                    />
                    <span class="soft">is</span>
                    <input
                      class="field"
                      required
                      maxLength={500}
                      autocomplete="off"
                      aria-label={label("value")}
                      placeholder="pro"
                      value={step.value}
                      onInput={(event) => put(step.id, { value: event.currentTarget.value })}
                    />
                  </span>
                )}
              </li>
            );
          })}
        </ol>
        <Offered site={site} properties={steps.some(({ property }) => property !== null)} />
        <Preview site={site} steps={complete ? steps.map(stepOf) : null} />
        {act.failure && (
          <p class="wrong" role="alert">
            {act.failure.message}
          </p>
        )}
        <div class="form-end">
          <button type="button" class="button funnel-add" disabled={steps.length >= MOST} onClick={() => setSteps([...steps, draftOf({})])}>
            <Icon name="plus" /> Add a step
          </button>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={act.busy || !complete}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** What the steps would say of the last 30 days, once nothing was typed for a moment. */
function Preview({ site, steps }: { site: string; steps: Step[] | null }) {
  const question = steps && JSON.stringify({ site_id: site, date_range: "30d", steps });
  const [wanted, setWanted] = useState(question);
  useEffect(() => {
    const timer = setTimeout(() => setWanted(question), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [question]);
  const { data, busy } = useFound(wanted, 0, (signal) => call<FunnelAnswer>("POST", address("/api/v2/funnel"), JSON.parse(wanted ?? ""), signal));
  const known = data && question !== null && question === wanted && !busy;
  return (
    <p class="soft" role="status">
      {known ? `Last 30 days: ${data.results.map(({ reached }) => formatCount(reached)).join(" → ")} visitors` : " "}
    </p>
  );
}

/** The pages, events and properties that the site has had, for the fields to offer. */
function Offered({ site, properties }: { site: string; properties: boolean }) {
  const ever: Scope = { site, range: "all", filters: [] };
  const offer = (dimension: string) => useQuery({ ...about(ever), metrics: ["visitors"], dimensions: [dimension], pagination: { limit: OFFERED } });
  const lists = {
    page_pattern: offer("event:page").data?.results.map((row) => row.dimensions[0]),
    event_type: offer("event:name").data?.results.map((row) => row.dimensions[0]),
    properties: usePropertyNames(properties ? { ...ever, range: "30d" } : null),
  };
  return (
    <>
      {Object.entries(lists).map(([id, values]) => (
        <datalist key={id} id={id}>
          {(values ?? []).map((value) => (
            <option key={value} value={value} />
          ))}
        </datalist>
      ))}
    </>
  );
}
