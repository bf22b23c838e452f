import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "./icon";

/** Text to be copied, with a button that does so. */
export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    field.current?.select();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Pages served over plain HTTP have no clipboard; the selection is copied the old way.
      document.execCommand("copy");
    }
    setCopied(true);
  };
  return (
    <div class="copy">
      <input ref={field} class="field code" readOnly value={text} aria-label={label} onFocus={(event) => event.currentTarget.select()} />
      <button type="button" class="button primary" onClick={copy}>
        <Icon name={copied ? "check" : "copy"} /> <span aria-live="polite">{copied ? "Copied" : "Copy"}</span>
      </button>
    </div>
  );
}
