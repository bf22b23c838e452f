/** Where rows will be. */
export const Skeleton = () => (
  <div class="skeletons" aria-hidden="true">
    {[92, 74, 61, 44, 38, 25, 17].map((width) => (
      <span key={width} class="skeleton" style={{ width: `${width}%` }} />
    ))}
  </div>
);
