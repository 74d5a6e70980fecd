// The documented Node.js sample, for every line of JSON on standard input: one call.
// The sample's `credential:` is `credentialsProvider:` in pop-core 1.8.0.
const Core = require('@alicloud/pop-core');
const readline = require('readline');

const env = process.env;

async function execute(call) {
  const client = new Core({
    endpoint: env.FACECERT_ENDPOINT,
    apiVersion: '2017-03-31',
    credentialsProvider: {
      getCredentials: async () => ({
        accessKeyId: env.ALIBABA_CLOUD_ACCESS_KEY_ID,
        accessKeySecret: call.secret || env.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
      }),
    },
  });
  const params = {
    RegionId: 'cn-shanghai',
    Service: 'fin_face_verify',
    ServiceParameters: JSON.stringify(call.fields),
  };
  try {
    const answer = await client.request('ExecuteRequest', params, { method: call.http });
    return [answer.Code, answer.Message, answer.RequestId, answer.Data || null];
  } catch (error) {
    return [error.code, error.data.Message, error.data.RequestId, null];
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await execute(JSON.parse(line))));
  }
  process.exit(0);
})();
