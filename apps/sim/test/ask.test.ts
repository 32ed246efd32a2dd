import { Worker } from 'node:worker_threads'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ask } from '../src/ask.ts'

const LONG_MS = 60_000

/** A thread that does this with every seed that it is sent. */
function thread(deed: string): Worker {
  const source = `const { parentPort } = require('node:worker_threads')
parentPort.on('message', (seed) => { ${deed} })`
  const worker = new Worker(source, { eval: true })
  onTestFinished(async () => {
    await worker.terminate()
  })
  return worker
}

describe('a thread that is asked for a seed', () => {
  test('answers with its report, as often as it is asked', async () => {
    const worker = thread('parentPort.postMessage({ seed })')
    expect(await ask(worker, 7, LONG_MS)).toEqual({ seed: 7 })
    expect(await ask(worker, 8, LONG_MS)).toEqual({ seed: 8 })
    for (const event of ['message', 'error', 'exit']) expect(worker.listenerCount(event)).toBe(0)
  })

  test.each([
    ['throws', 'throw new Error("broken")', LONG_MS, 'it does not crash'],
    ['ends', 'process.exit(3)', LONG_MS, 'it does not crash'],
    ['says nothing', '', 1, 'it comes to an end'],
  ])('is told by its seed if it %s', async (_, deed, timeoutMs, rule) => {
    await expect(ask(thread(deed), 7, timeoutMs)).rejects.toMatchObject({
      message: 'seed 7 could not be simulated',
      rule,
    })
  })
})
