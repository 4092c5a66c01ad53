/** Light or dark: the system's choice until somebody turns it; then that one, kept in this browser. */
const key = 'greenroom-theme';

export function turnTheme(): void {
  const { dataset } = document.documentElement;
  const systemIsDark = matchMedia('(prefers-color-scheme: dark)').matches;
  const isDark = dataset['theme'] === undefined ? systemIsDark : dataset['theme'] === 'dark';
  dataset['theme'] = isDark ? 'light' : 'dark';
  localStorage.setItem(key, dataset['theme']);
}

export function applyTheme(): void {
  const theme = localStorage.getItem(key);
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset['theme'] = theme;
}
