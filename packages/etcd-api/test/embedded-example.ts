import { startServer } from '../src/index.ts'

await using etcd = await startServer()
await etcd.client.put('greeting', 'hello')
console.log((await etcd.client.get('greeting'))?.text)
