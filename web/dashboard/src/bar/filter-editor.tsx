import { useState } from "preact/hooks";
import { about, type Scope } from "../api/query";
import { usePropertyNames } from "../api/use-property-names";
import { useQuery } from "../api/use-query";
import { DIMENSION_LABELS, PROPERTY, valueLabel } from "../dimension";
import { OPERATOR_LABELS, toApi, type Filter, type Operator } from "../filter";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { useSettled } from "../ui/use-settled";

interface Props {
  scope: Scope;
  filter: Filter | null;
  onSave: (filter: Filter) => void;
  onClose: () => void;
}

/** Makes or changes a filter; the values that occur are offered. */
export function FilterEditor({ scope, filter, onSave, onClose }: Props) {
  const [dimension, setDimension] = useState(filter?.dimension.startsWith(PROPERTY) ? PROPERTY : (filter?.dimension ?? "event:page"));
  const [property, setProperty] = useState(filter?.dimension.startsWith(PROPERTY) ? filter.dimension.slice(PROPERTY.length) : "");
  const [operator, setOperator] = useState<Operator>(filter?.operator ?? "is");
  const [values, setValues] = useState(filter?.values ?? []);
  const [text, setText] = useState("");
  const whole = dimension === PROPERTY ? PROPERTY + property.trim() : dimension;
  const offered = useOffered(scope, whole, text.trim()).filter((value) => !values.includes(value));
  const properties = usePropertyNames(dimension === PROPERTY ? { ...scope, filters: [] } : null) ?? [];
  const add = (value: string) => {
    // What was chosen by its name is meant by its value.
    const meant = offered.find((each) => valueLabel(whole, each).toLowerCase() === value.toLowerCase()) ?? value;
    setValues([...new Set([...values, meant])]);
    setText("");
  };
  const wanted = text.trim() ? [...values, offered.find((each) => valueLabel(whole, each).toLowerCase() === text.trim().toLowerCase()) ?? text.trim()] : values;
  const complete = wanted.length > 0 && whole !== PROPERTY;
  const submit = (event: Event) => {
    event.preventDefault();
    if (complete) onSave({ operator, dimension: whole, values: wanted });
  };
  return (
    <Dialog title={filter ? "Change the filter" : "Add a filter"} onClose={onClose}>
      <form class="form" onSubmit={submit}>
        <div class="form-row">
          <label class="grow">
            Show where
            <select
              class="field"
              value={dimension}
              onChange={(event) => {
                setDimension(event.currentTarget.value);
                setValues([]);
              }}
            >
              {Object.entries(DIMENSION_LABELS).map(([name, label]) => (
                <option key={name} value={name}>
                  {label}
                </option>
              ))}
              <option value={PROPERTY}>Property of an event</option>
            </select>
          </label>
          {dimension === PROPERTY && (
            <label class="grow">
              Property
              <input class="field" list="properties" value={property} onInput={(event) => setProperty(event.currentTarget.value)} />
              <datalist id="properties">
                {properties.map((name) => (
                  <option key={name} value={name} />
                ))}
              </datalist>
            </label>
          )}
            <select class="field operator" aria-label="Operator" value={operator} onChange={(event) => setOperator(event.currentTarget.value as Operator)}>
              {Object.entries(OPERATOR_LABELS).map(([name, label]) => (
                <option key={name} value={name}>
                  {label}
                </option>
              ))}
            </select>
        </div>
        <label>
          Value
          <input
            class="field"
            value={text}
            placeholder="Type, or choose below"
            autocomplete="off"
            onInput={(event) => setText(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === "," && text.trim()) {
                event.preventDefault();
                add(text.trim());
              }
            }}
          />
        </label>
        {values.length > 0 && (
          <ul class="chips" aria-label="Chosen values">
            {values.map((value) => (
              <li key={value} class="chip">
                <strong>{valueLabel(whole, value)}</strong>
                <button type="button" aria-label={`Remove ${valueLabel(whole, value)}`} onClick={() => setValues(values.filter((each) => each !== value))}>
                  <Icon name="close" />
                </button>
              </li>
            ))}
          </ul>
        )}
        <ul class="offered" aria-label="Suggestions">
          {offered.slice(0, 8).map((value) => (
            <li key={value}>
              <button type="button" onClick={() => add(valueLabel(whole, value))}>
                {valueLabel(whole, value)}
              </button>
            </li>
          ))}
        </ul>
        <div class="form-end">
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" disabled={!complete}>
            Apply
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Values of a dimension that occur in the period, those that hold `text`. */
function useOffered(scope: Scope, dimension: string, text: string): string[] {
  const wanted = useSettled(text);
  const byName = dimension === "visit:country" || dimension === "event:name";
  const { data } = useQuery(
    dimension === PROPERTY
      ? null
      : {
          ...about(scope),
          filters: wanted && !byName ? [toApi({ operator: "contains", dimension, values: [wanted] })] : [],
          metrics: ["visitors"],
          dimensions: [dimension],
          pagination: { limit: byName ? 300 : 12 },
        },
  );
  const found = (data?.results ?? []).map((row) => row.dimensions[0] ?? "");
  return byName ? found.filter((value) => valueLabel(dimension, value).toLowerCase().includes(text.toLowerCase())) : found;
}
