import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Scope } from "../api/query";
import { usePropertyNames } from "../api/use-property-names";

interface Props {
  scope: Scope;
  property: string;
  onProperty: (property: string) => void;
  children: (property: string) => ComponentChildren;
}

/** Chooses the property by which events are broken down: of those that occur, or typed where none is known. */
export function Properties({ scope, property, onProperty, children }: Props) {
  const names = usePropertyNames(scope);
  const typed = names?.length === 0;
  return (
    <>
      {typed ? <Typed property={property} onProperty={onProperty} /> : <Chosen names={names ?? []} busy={names === null} property={property} onProperty={onProperty} />}
      {property ? children(property) : <p class="nothing">{typed ? EXAMPLE : "Choose a property to see its values."}</p>}
    </>
  );
}

const EXAMPLE = 'Events may carry properties: analytics.track("signup", { plan: "free" }).';

interface FieldProps {
  property: string;
  onProperty: (property: string) => void;
}

function Chosen({ names, busy, property, onProperty }: FieldProps & { names: string[]; busy: boolean }) {
  // What a link names may be from another period.
  const offered = property && !names.includes(property) ? [property, ...names] : names;
  return (
    <div class="inline-form">
      <select class="field" aria-label="Property" aria-busy={busy} value={property} onChange={(event) => onProperty(event.currentTarget.value)}>
        <option value="">Choose a property</option>
        {offered.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </div>
  );
}

function Typed({ property, onProperty }: FieldProps) {
  const [text, setText] = useState(property);
  const submit = (event: Event) => {
    event.preventDefault();
    onProperty(text.trim());
  };
  return (
    <form class="inline-form" onSubmit={submit}>
      <input class="field" aria-label="Property" placeholder="Property, such as plan" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      <button type="submit" class="button">
        Show
      </button>
    </form>
  );
}
