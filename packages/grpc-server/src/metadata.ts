/** What a client says about a call beside its messages. */
export class Metadata {
  readonly #fields: readonly string[]

  /** Over names and values, one after the other, which must not change. */
  constructor(fields: readonly string[]) {
    this.#fields = fields
  }

  get(name: string): string | undefined {
    const fields = this.#fields
    for (let at = 0; at < fields.length; at += 2) if (fields[at] === name) return fields[at + 1]
    return undefined
  }

  entries(): readonly (readonly [name: string, value: string])[] {
    const entries: [string, string][] = []
    for (let at = 0; at < this.#fields.length; at += 2)
      entries.push([this.#fields[at] as string, this.#fields[at + 1] as string])
    return entries
  }
}

/** What the value of a name that ends in `-bin` stands for. */
export function decodeBinary(value: string): Uint8Array {
  // Several values may have been joined by commas on the way.
  const [first = ''] = value.split(',')
  return new Uint8Array(Buffer.from(first, 'base64'))
}

/** Base64, with or without the padding, as gRPC lets it be. */
export function isBinary(value: string): boolean {
  return value.split(',').every((each) => /^[A-Za-z0-9+/]*={0,2}$/.test(each.trim()))
}
