type Schema = Readonly<Record<string, unknown>>;

/** The JSON Schema keywords that every model provider accepts: any other one makes some of them refuse a whole list. */
const commonKeywords =
  'type title description default properties required minimum maximum minLength maxLength minItems maxItems pattern'.split(
    ' ',
  );

const simpleValues = ['string', 'number', 'boolean', 'object'].map((type) => ({ type }));
/** Any JSON value. Lists within lists and null are accepted too, but not listed. */
const anyValue: Schema = { anyOf: [...simpleValues, { type: 'array', items: { anyOf: simpleValues } }] };

/** How often a schema that contains itself is written out. */
const maxSelfReferences = 2;

/**
 * A schema of arguments in the subset of JSON Schema that the providers of models share. What the subset cannot say is left
 * out, so that it never refuses what the tool takes.
 */
export function commonSubsetOf(root: Schema): Schema {
  return new CommonSubset(root).of(root);
}

class CommonSubset {
  readonly #root: Schema;
  /** References that are being written out, and how often. */
  readonly #open = new Map<string, number>();

  constructor(root: Schema) {
    this.#root = root;
  }

  of(schema: unknown): Schema {
    if (!isSchema(schema)) return anyValue;
    const { $ref, allOf, enum: values = 'const' in schema ? [schema['const']] : undefined } = schema;
    const texts = only(schema, ['title', 'description', 'default']);
    if (typeof $ref === 'string') return { ...this.#referred($ref), ...texts };
    if (Array.isArray(allOf)) return { ...merged(allOf.map((part) => this.of(part))), ...texts };
    if (Array.isArray(values)) return { ...valuesOf(values), ...texts, ...describedValues(values, schema) };
    const choices = choicesOf(schema);
    if (choices !== undefined) return { ...oneOf(choices.map((choice) => this.of(choice))), ...texts };
    return typeof schema['type'] === 'string' ? this.#typed(schema, schema['type']) : { ...anyValue, ...texts };
  }

  #typed(schema: Schema, type: string): Schema {
    const { properties, items, prefixItems, additionalProperties, format } = schema;
    const kept = only(schema, commonKeywords);
    if (type === 'array') {
      const parts = Array.isArray(prefixItems) ? prefixItems : [items];
      return { ...kept, items: oneOf(parts.map((part) => this.of(part))) };
    }
    if (type !== 'object') return { ...kept, ...(format === 'date-time' && { format }) };
    return {
      ...kept,
      ...(isSchema(properties) && {
        properties: Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, this.of(value)])),
      }),
      // Values of any kind need no schema.
      ...(additionalProperties === false && { additionalProperties }),
      ...(isSchema(additionalProperties) &&
        Object.keys(additionalProperties).length > 0 && { additionalProperties: this.of(additionalProperties) }),
    };
  }

  #referred(reference: string): Schema {
    const depth = this.#open.get(reference) ?? 0;
    const definitions = this.#root['$defs'];
    const named = isSchema(definitions) ? definitions[reference.replace('#/$defs/', '')] : undefined;
    if (depth > maxSelfReferences) return { type: 'object' };
    this.#open.set(reference, depth + 1);
    const written = this.of(reference === '#' ? this.#root : named);
    this.#open.set(reference, depth);
    return written;
  }
}

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const only = (schema: Schema, keywords: readonly string[]): Schema =>
  Object.fromEntries(Object.entries(schema).filter(([keyword]) => keywords.includes(keyword)));

/** The alternatives of a schema without null: a caller that may pass null may omit the argument. */
function choicesOf(schema: Schema): readonly unknown[] | undefined {
  const { anyOf, oneOf: exclusive, type } = schema;
  const types: readonly unknown[] | undefined = Array.isArray(type) ? type : undefined;
  const all = anyOf ?? exclusive ?? types?.map((one) => ({ ...schema, type: one }));
  if (!Array.isArray(all)) return undefined;
  const choices: readonly unknown[] = all;
  return choices.filter((choice) => !isSchema(choice) || choice['type'] !== 'null');
}

/** Alternatives as one schema; the same one twice counts once. */
function oneOf(choices: readonly Schema[]): Schema {
  const flat = choices.flatMap((choice) => (Array.isArray(choice['anyOf']) ? (choice['anyOf'] as Schema[]) : [choice]));
  const different = [...new Map(flat.map((choice) => [JSON.stringify(choice), choice])).values()];
  const [first = anyValue, ...others] = different;
  return others.length === 0 ? first : { anyOf: different };
}

/** Merges schemas that apply together; objects are merged by property. */
function merged(parts: readonly Schema[]): Schema {
  const objects = parts.filter(({ type }) => type === 'object');
  if (objects.length < parts.length) return parts[0] ?? anyValue;
  const required = objects.flatMap((part) => (Array.isArray(part['required']) ? (part['required'] as string[]) : []));
  return {
    type: 'object',
    properties: Object.assign({}, ...objects.map(({ properties }) => properties)) as Schema,
    ...(required.length > 0 && { required: [...new Set(required)] }),
  };
}

/** Only texts can be listed as values. */
function valuesOf(values: readonly unknown[]): Schema {
  const listed = values.filter((value) => value !== null);
  if (listed.every((value) => typeof value === 'string')) return { type: 'string', enum: listed };
  return oneOf([...new Set(listed.map((value) => typeof value))].map((type) => ({ type })));
}

function describedValues(values: readonly unknown[], { description }: Schema): Schema {
  if (values.every((value) => typeof value === 'string')) return {};
  const texts = values.map((value) => JSON.stringify(value));
  const said = texts.length === 1 ? `Always ${texts.join()}` : `One of ${texts.join(', ')}`;
  return { description: typeof description === 'string' ? `${description}. ${said}` : said };
}
