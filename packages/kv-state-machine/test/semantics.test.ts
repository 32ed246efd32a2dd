import { expect, test } from 'vitest'
import { encodeCommand, kvStateMachine } from '../src/index.ts'
test('smoke', () => {
  const m = kvStateMachine()
  const b = (s: string) => new TextEncoder().encode(s)
  let i = 0
  const put = (k: string, v: string) => m.apply([{ index: ++i, term: 1, data: encodeCommand({ type: 'put', request: { key: b(k), value: b(v), lease: 0n, prevKv: true, ignoreValue: false, ignoreLease: false } }) }])[0]
  for (let n = 0; n < 1000; n++) put('k' + (n % 300), 'v' + n)
  const range = (revision: number) => m.range({ key: b('k'), rangeEnd: b('l'), limit: 0, revision, sortOrder: 'none', sortTarget: 'key', keysOnly: false, countOnly: false, minModRevision: 0, maxModRevision: 0, minCreateRevision: 0, maxCreateRevision: 0 })
  expect(range(0)).toMatchObject({ count: 300, revision: 1001 })
  expect(range(100)).toMatchObject({ count: 99, revision: 1001 })
})
