import { useState } from "preact/hooks";
import type { Scope } from "../api/query";
import { dimensionLabel, valueLabel } from "../dimension";
import { OPERATOR_LABELS, type Filter } from "../filter";
import { Icon } from "../ui/icon";
import { useNavigation } from "../view";
import { FilterEditor } from "./filter-editor";

const OPPOSITE = { is: "is_not", is_not: "is", contains: "contains_not", contains_not: "contains" } as const;

/** The active filters as chips, and a way to add one. */
export function Filters({ scope }: { scope: Scope }) {
  const { view, go } = useNavigation();
  const [edited, setEdited] = useState<number | "new" | null>(null);
  const put = (index: number, filter: Filter | null) => {
    const filters = [...view.filters];
    filters.splice(index, 1, ...(filter ? [filter] : []));
    go({ filters });
  };
  return (
    <>
      <button type="button" class="button" onClick={() => setEdited("new")}>
        <Icon name="filter" /> Filter
      </button>
      {view.filters.length > 0 && (
        <ul class="chips" aria-label="Active filters">
          {view.filters.map((filter, index) => {
            const label = dimensionLabel(filter.dimension);
            const values = filter.values.map((value) => valueLabel(filter.dimension, value)).join(" or ");
            return (
              <li key={index} class="chip">
                <button type="button" class="chip-name" aria-label={`Change the filter ${label}`} onClick={() => setEdited(index)}>
                  {label}
                </button>
                <button
                  type="button"
                  class="chip-operator"
                  aria-label={`${label} ${OPERATOR_LABELS[filter.operator]}: turn round`}
                  title="Turn round"
                  onClick={() => put(index, { ...filter, operator: OPPOSITE[filter.operator] })}
                >
                  {OPERATOR_LABELS[filter.operator]}
                </button>
                <strong title={values}>{values}</strong>
                <button type="button" aria-label={`Remove the filter ${label} ${OPERATOR_LABELS[filter.operator]} ${values}`} onClick={() => put(index, null)}>
                  <Icon name="close" />
                </button>
              </li>
            );
          })}
          {view.filters.length > 1 && (
            <li>
              <button type="button" class="button bare" onClick={() => go({ filters: [] })}>
                Clear all
              </button>
            </li>
          )}
        </ul>
      )}
      {edited !== null && (
        <FilterEditor
          scope={scope}
          filter={edited === "new" ? null : (view.filters[edited] ?? null)}
          onClose={() => setEdited(null)}
          onSave={(filter) => {
            put(edited === "new" ? view.filters.length : edited, filter);
            setEdited(null);
          }}
        />
      )}
    </>
  );
}
