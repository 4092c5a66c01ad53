/** Light or dark: the system's setting until the user switches; then that choice, stored in this browser. */
const storageKey = 'greenroom-theme';

export function toggleTheme(): void {
  const { dataset } = document.documentElement;
  const systemIsDark = matchMedia('(prefers-color-scheme: dark)').matches;
  const isDark = dataset['theme'] === undefined ? systemIsDark : dataset['theme'] === 'dark';
  dataset['theme'] = isDark ? 'light' : 'dark';
  localStorage.setItem(storageKey, dataset['theme']);
}

export function applyTheme(): void {
  const theme = localStorage.getItem(storageKey);
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset['theme'] = theme;
}
