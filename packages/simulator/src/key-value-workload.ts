import { keyValue, type KeyValueInput, type KeyValueOutput } from '@coracle/linearizability'
import type { Command } from '@coracle/raft-core'
import type { Random } from './random.ts'
import type { Load, TestedMachine, Workload } from './workload.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Clients that read and write a few keys, over each other. */
export function keyValueWorkload(): Workload<KeyValueInput, KeyValueOutput> {
  return {
    open: () => new KeyValueMachine(),
    draw: drawKeyValue,
    isRead: ({ type }) => type === 'get',
    encode: (input) => encoder.encode(JSON.stringify(input)),
    model: keyValue(),
  }
}

/** What a client asks of a store of keys and values. Every value that is written is another one. */
export function drawKeyValue(random: Random, load: Load, number: number): KeyValueInput {
  const key = `k${random.whole(1, load.keys)}`
  if (random.chance(load.reads)) return { type: 'get', key }
  const value = `${number}`.padEnd(random.whole(1, load.maxValueLength), '.')
  switch (random.whole(1, 6)) {
    case 1:
      return { type: 'append', key, value: `${number},` }
    case 2:
      return { type: 'delete', key }
    case 3:
      return { type: 'compare-and-set', key, from: null, to: value }
    default:
      return { type: 'put', key, value }
  }
}

class KeyValueMachine implements TestedMachine<KeyValueInput, KeyValueOutput> {
  readonly durableIndex = 0
  #values = new Map<string, string>()

  query({ key }: KeyValueInput): KeyValueOutput {
    return this.#values.get(key) ?? null
  }

  apply(commands: readonly Command[]): readonly KeyValueOutput[] {
    return commands.map(({ data }) => this.#apply(JSON.parse(decoder.decode(data))))
  }

  #apply(input: KeyValueInput): KeyValueOutput {
    const found = this.query(input)
    if (input.type === 'put') this.#values.set(input.key, input.value)
    else if (input.type === 'append') this.#values.set(input.key, (found ?? '') + input.value)
    else if (input.type === 'delete') this.#values.delete(input.key)
    else if (input.type === 'compare-and-set' && found === input.from)
      this.#values.set(input.key, input.to)
    return found
  }

  async *#chunks(values: readonly (readonly [string, string])[]): AsyncGenerator<Uint8Array> {
    yield encoder.encode(JSON.stringify(values))
  }

  snapshot(): AsyncIterable<Uint8Array> {
    return this.#chunks([...this.#values])
  }

  async restore(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const streaming = new TextDecoder()
    let text = ''
    for await (const chunk of chunks) text += streaming.decode(chunk, { stream: true })
    this.#values = new Map(JSON.parse(text) as [string, string][])
  }
}
