// Reads a label: by the camera, from a picture, or typed.
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
export const folded = (text) => text.toUpperCase().replace(/[-\s]/g, "").replace(/[IL]/g, "1").replace(/O/g, "0");

// the check of registry/codes.py: a mistyped code is noticed without the city
const check = (code) => {
  let total = 0;
  [...code].reverse().forEach((one, at) => {
    const value = ALPHABET.indexOf(one) * (at % 2 ? 1 : 2);
    total += Math.floor(value / 32) + value % 32;
  });
  return ALPHABET[(32 - total % 32) % 32];
};
// The code in what was read: a label's address or the code itself; null: it is none of ours.
export const codeIn = (text) => {
  const found = /\/q\/([0-9A-Za-z-]{9,15})\/?$/.exec(text.trim());
  const code = folded(found ? found[1] : text);
  return code.length === 9 && [...code].every((one) => ALPHABET.includes(one)) && check(code.slice(0, -1)) === code.at(-1) ? code : null;
};

const reader = async () => (await import("/static/vendor/qr-scanner.min.js")).default;

// Calls found(text) once; returns how to stop. Throws where there is no camera or no reader.
export const watch = async (video, found) => {
  const QrScanner = await reader();
  const scanner = new QrScanner(video, (result) => { scanner.stop(); found(result.data); },
    { preferredCamera: "environment", maxScansPerSecond: 8, returnDetailedScanResult: true, onDecodeError: () => {} });
  await scanner.start();
  return () => scanner.destroy();
};

export const readPicture = async (file) => {
  const QrScanner = await reader();
  return (await QrScanner.scanImage(file, { returnDetailedScanResult: true })).data;
};

const SIDE_PX = 1280;
const LIMIT = 380000; // the city takes 400,000 bytes
// A picture small enough for a bad connection: bytes of a JPEG.
export const small = async (file) => {
  const image = await createImageBitmap(file);
  for (let side = SIDE_PX; ; side = Math.round(side * 0.7)) {
    const scale = Math.min(1, side / Math.max(image.width, image.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.7));
    if (blob.size <= LIMIT || side < 200) return blob.arrayBuffer();
  }
};
