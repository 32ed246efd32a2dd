import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'

const program = fileURLToPath(new URL('../dist/main.js', import.meta.url))

function run(...args: readonly string[]): Promise<{ code: number | null; output: string }> {
  if (!existsSync(program)) throw new Error(`${program} is missing: run pnpm build first`)
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    const read = (chunk: Buffer): void => {
      output += chunk.toString()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

describe('pnpm sim', () => {
  test('the same seeds come to the same on any number of threads', async () => {
    const alone = await run('--seeds', '4', '--workers', '1')
    const together = await run('--seeds', '4', '--workers', '3')
    expect(alone).toMatchObject({ code: 0, output: expect.stringContaining('4 of 4 seeds') })
    const [print] = /fingerprint [0-9a-f]{16}/.exec(alone.output) ?? []
    expect(together.output).toContain(print)
    expect(together.code).toBe(0)
  }, 60_000)

  test('says how it is used', async () => {
    expect(await run('--sead', '1')).toMatchObject({
      code: 2,
      output: expect.stringContaining('pnpm sim --seeds 1000'),
    })
    expect(await run('--help')).toMatchObject({
      code: 0,
      output: expect.stringContaining('pnpm sim --seeds 1000'),
    })
  }, 60_000)
})
