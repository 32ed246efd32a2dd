/** A child process: appends for ever, and says on standard output which entries are acknowledged. */
import { levelStorage } from '../src/index.ts'

const [location = '', fsync = 'true', dataBytes = '100'] = process.argv.slice(2)
const storage = levelStorage({ location, fsync: fsync === 'true' })
const { lastIndex } = await storage.load()
const data = new Uint8Array(Number(dataBytes)).fill(7)
for (let index = lastIndex + 1; ; index += 3) {
  const entries = [0, 1, 2].map((i) => ({
    index: index + i,
    term: index,
    type: 'command' as const,
    data,
  }))
  try {
    await storage.append({
      reset: null,
      entries,
      hardState: { term: index, votedFor: `node ${index}`, commitIndex: 0 },
    })
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown }
    process.stdout.write(`failed ${JSON.stringify({ code, message })}\n`)
    break
  }
  process.stdout.write(`${index + 2}\n`)
}
