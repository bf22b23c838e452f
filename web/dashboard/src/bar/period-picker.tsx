import { useState } from "preact/hooks";
import { CHOICES, neighbour, periodLabel, spanLabel, type Day, type Span } from "../period";
import { Icon } from "../ui/icon";
import { Menu } from "../ui/menu";
import { useNavigation } from "../view";

/** Chooses the time that the page is about; arrows go to the span before and after. */
export function PeriodPicker({ span, today }: { span: Span | null; today: Day }) {
  const { view, go } = useNavigation();
  const later = span && neighbour(span, 1);
  const step = (to: Span) => go({ period: { name: "custom", ...to }, interval: null });
  return (
    <div class="period">
      {span && (
        <div class="arrows">
          <button type="button" class="button bare" aria-label="Earlier" title="Earlier (←)" onClick={() => step(neighbour(span, -1))}>
            <Icon name="left" />
          </button>
          <button type="button" class="button bare" aria-label="Later" title="Later (→)" disabled={!later || later.from > today} onClick={() => later && step(later)}>
            <Icon name="right" />
          </button>
        </div>
      )}
      <Menu
        class="end"
        label={`Period: ${periodLabel(view.period)}`}
        button={
          <>
            <Icon name="calendar" /> {periodLabel(view.period)} <Icon name="down" />
          </>
        }
      >
        {(close) => (
          <>
            {CHOICES.map((group) => (
              <ul key={group[0]?.name}>
                {group.map((choice) => (
                  <li key={choice.name}>
                    <button
                      type="button"
                      aria-current={view.period.name === choice.name ? "true" : undefined}
                      onClick={() => {
                        go({ period: { name: choice.name }, interval: null });
                        close();
                      }}
                    >
                      {choice.label} <kbd>{choice.key}</kbd>
                    </button>
                  </li>
                ))}
              </ul>
            ))}
            <Custom
              span={span ?? { from: today, to: today }}
              today={today}
              onChoose={(chosen) => {
                go({ period: { name: "custom", ...chosen }, interval: null });
                close();
              }}
            />
          </>
        )}
      </Menu>
      {span && view.period.name !== "custom" && <span class="soft span-label">{spanLabel(span)}</span>}
    </div>
  );
}

function Custom({ span, today, onChoose }: { span: Span; today: Day; onChoose: (span: Span) => void }) {
  const [from, setFrom] = useState(span.from);
  const [to, setTo] = useState(span.to);
  const submit = (event: Event) => {
    event.preventDefault();
    if (from && to) onChoose(from <= to ? { from, to } : { from: to, to: from });
  };
  return (
    <form class="custom-dates" onSubmit={submit}>
      <label>
        From <input type="date" class="field" required max={today} value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
      </label>
      <label>
        To <input type="date" class="field" required max={today} value={to} onInput={(event) => setTo(event.currentTarget.value)} />
      </label>
      <button type="submit" class="button primary">
        Show these days
      </button>
    </form>
  );
}
