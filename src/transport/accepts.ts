/** Whether a client that sent this `Accept` takes a type (RFC 9110, section 12.5.1): the most specific range decides. */
export function accepts(accept: string, type: string): boolean {
  const weights = new Map(accept.split(',').map(weightOf));
  const [family = ''] = type.split('/');
  const weight = weights.get(type) ?? weights.get(`${family}/*`) ?? weights.get('*/*') ?? 0;
  return weight > 0;
}

function weightOf(range: string): readonly [string, number] {
  const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  return [type, weight === undefined ? 1 : Number(weight.slice(2))];
}
