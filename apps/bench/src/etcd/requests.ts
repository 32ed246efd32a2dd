/** Requests as protobuf writes them: a handful of fields does not need a schema. */

type Value = Uint8Array | string | number

/** A message of these fields, in this order: bytes, text and messages, or whole numbers from 0. */
export function message(
  ...fields: readonly (readonly [field: number, value: Value])[]
): Uint8Array {
  const parts = fields.map(([field, value]) => {
    if (typeof value === 'number') return Buffer.from([...varint(field << 3), ...varint(value)])
    const bytes = Buffer.from(value as Uint8Array)
    return Buffer.concat([
      Buffer.from([...varint((field << 3) | 2), ...varint(bytes.length)]),
      bytes,
    ])
  })
  return new Uint8Array(Buffer.concat(parts))
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  return [...bytes, rest]
}

/** Visits the fields of a message: bytes for what has a length, numbers for the rest. */
export function* fieldsOf(bytes: Uint8Array): Generator<readonly [number, Uint8Array | number]> {
  let at = 0
  const read = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
  }
  while (at < bytes.length) {
    const tag = read()
    if ((tag & 7) === 0) yield [tag >> 3, read()]
    else {
      const length = read()
      yield [tag >> 3, bytes.subarray(at, (at += length))]
    }
  }
}

/** How many fields of this number a message in [start, end) has; nothing is made of them. */
export function countOf(field: number, bytes: Uint8Array, start: number, end: number): number {
  let count = 0
  let at = start
  while (at < end) {
    const tag = bytes[at++] ?? 0
    if (tag >> 3 === field) count += 1
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0
      value += (byte & 0x7f) * scale
      if (byte < 0x80) break
    }
    if ((tag & 7) === 2) at += value
  }
  return count
}

export const VALUE: Uint8Array = new Uint8Array(256).fill(0x76)

export function putRequest(key: string, value: Uint8Array = VALUE): Uint8Array {
  return message([1, key], [2, value])
}

export function rangeRequest(key: string, isSerializable: boolean): Uint8Array {
  return isSerializable ? message([1, key], [7, 1]) : message([1, key])
}

/** If the key is there or not, puts it and reads it back. */
export function txnRequest(key: string): Uint8Array {
  const exists = message([1, 2], [2, 0], [3, key], [4, 0])
  const put = message([2, putRequest(key)])
  const range = message([1, rangeRequest(key, false)])
  return message([1, exists], [2, put], [3, put], [2, range], [3, range])
}

/** All the puts at once. */
export function putAllRequest(keys: readonly string[]): Uint8Array {
  return message(...keys.map((key) => [2, message([2, putRequest(key)])] as const))
}
