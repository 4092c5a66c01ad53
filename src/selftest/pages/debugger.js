/* exported receipt */
const shop = { name: 'corner', sold: 0 };
shop.self = shop;

function receipt(prices, word = '') {
  let sum = 0;
  for (const price of prices) sum += price;
  const text = label(sum, word);
  document.querySelector('#status').textContent = text;
  return text;
}

function label(amount, word) {
  shop.sold += amount;
  return `${word}${shop.name}: ${amount}`;
}
