import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openLog } from '../src/log.ts'

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'coracle-log-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

test('the log goes to every output that is named, and is added to files that are there', async () => {
  const [a, b] = ['a.log', 'b.log'].map((name) => join(directory(), name)) as [string, string]
  for (const msg of ['first', 'second']) {
    const { log, flush } = openLog({ level: 'info', format: 'json', outputs: [a, b, a] })
    log.info(msg)
    log.debug('not this')
    flush()
  }
  const messages = (path: string): string[] =>
    [...readFileSync(path, 'utf8').matchAll(/"msg":"(\w+)"/g)].map(([, msg = '']) => msg)
  // A line whose write was under way when the log was flushed is in the hands of another thread.
  for (const path of [a, b])
    await expect.poll(() => messages(path), { timeout: 10_000 }).toEqual(['first', 'second'])
})

test('an output that cannot be written is refused in one line', () => {
  const outputs = [join(directory(), 'no', 'such.log')]
  expect(() => openLog({ level: 'info', format: 'json', outputs })).toThrow(
    /^--log-outputs: ENOENT/,
  )
})
