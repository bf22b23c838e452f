interface Item {
  key: string;
  name: string;
  note: string;
  onEdit?: () => void;
  act: string;
  onAct: () => void;
}

/** Things with a word about each, and what can be done to it. */
export function Items({ items, empty }: { items: Item[]; empty: string }) {
  if (items.length === 0) return <p class="soft">{empty}</p>;
  return (
    <ul class="items">
      {items.map((item) => (
        <li key={item.key}>
          <strong>{item.name}</strong>
          <span class="soft">{item.note}</span>
          {item.onEdit && (
            <button type="button" class="button bare" aria-label={`Edit ${item.name}`} onClick={item.onEdit}>
              Edit
            </button>
          )}
          <button type="button" class="button bare danger" aria-label={`${item.act} ${item.name}`} onClick={item.onAct}>
            {item.act}
          </button>
        </li>
      ))}
    </ul>
  );
}
